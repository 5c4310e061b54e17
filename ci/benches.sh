#!/usr/bin/env bash
# Runs the benches, small, for what they check.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test --release --quiet --benches
