#!/usr/bin/env bash
# Makes data/default.hedge and its model card: fetch, extract, judge, calibrate, train, compile. See
# README.md in this folder.
#   tools/lab/train/train.sh [--data DIR] [--reports FILE] [--library catboost|lightgbm|xgboost]
#                            [--out FILE] [--card NAME]
set -euo pipefail
cd "$(dirname "$0")/../../.."
venv=target/train-venv
if ! cmp -s tools/lab/train/requirements.txt "$venv/installed.txt"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r tools/lab/train/requirements.txt
    cp tools/lab/train/requirements.txt "$venv/installed.txt"
fi
sources=target/train-sources
[ -e "$sources/packages.ndjson" ] && [ ! tools/lab/train/sources.py -nt "$sources/packages.ndjson" ] ||
    "$venv/bin/python" tools/lab/train/sources.py "$sources"
cargo build --release --quiet -p hedgerow-cli
exec "$venv/bin/python" tools/lab/train/train.py --hedgerow target/release/hedgerow \
    --packages "$sources/packages.ndjson" "$@"
