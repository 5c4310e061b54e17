#!/usr/bin/env bash
# Runs the benches, small, for what they check; and the tests of the comparison with other
# libraries: what would refuse to be timed.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test --release --quiet --benches
cargo test --quiet --manifest-path tools/lab/peers/Cargo.toml
