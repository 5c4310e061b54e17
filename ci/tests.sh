#!/usr/bin/env bash
# Runs README's second command: the tests of all default members.
set -euo pipefail
cd "$(dirname "$0")/.."

# What is missing may be installed meanwhile.
cargo test --release --quiet --no-run
bash ci/setup.sh import cli envoy nginx
cargo test --release
