#!/usr/bin/env bash
# Checks the swap under loom: every interleaving, within bounds, and mutants that must be noticed.
set -euo pipefail
cd "$(dirname "$0")/.."

RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release --test swap_loom
