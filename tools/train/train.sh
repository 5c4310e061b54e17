#!/usr/bin/env bash
# Makes data/default.hedge: extract, train, judge, compile. See README.md beside this file.
#   tools/train/train.sh --data DIR [--out FILE]
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=target/train-venv
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r tools/train/requirements.txt
fi
cargo build --release --quiet -p hedgerow-cli
exec "$venv/bin/python" tools/train/train.py --hedgerow target/release/hedgerow "$@"
