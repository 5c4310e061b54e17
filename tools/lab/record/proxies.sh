#!/usr/bin/env bash
# Sends recorded requests through real proxies and writes what a host behind them sees: README.md.
#
#   proxies.sh [--no-install] [--proxy NAME]... [--per-group N] [--out FILE] REQUESTS...
#   proxies.sh --list
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
venv=$root/target/record/venv
if [ "${1:-}" = --no-install ]; then
    shift
else
    bash "$root/tools/testkit/fronts/setup.sh"
    bash "$root/tools/hosts/envoy/setup.sh" >&2
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$(grep '^h2==' "$here/requirements.txt")"
fi
exec "$venv/bin/python" "$here/proxies.py" "$@"
