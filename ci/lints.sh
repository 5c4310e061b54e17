#!/usr/bin/env bash
# Runs clippy on every crate and target; warnings are errors. `incompatible_msrv` is one of them:
# the standard library is used only as far as the oldest supported Rust has it.
set -euo pipefail
cd "$(dirname "$0")/.."
bash ci/setup.sh build

# With `capi`: without it the C ABI is compiled for tests alone, where panics are allowed.
cargo clippy --workspace --all-targets --features hedgerow/capi --quiet -- -D warnings
echo "no warnings"
