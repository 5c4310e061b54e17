#!/usr/bin/env bash
# Runs what README shows first, for some seconds each: the main job, an open-loop load, the outage.
set -euo pipefail
cd "$(dirname "$0")/.."

hedgerow() { cargo run --release --quiet -- "$@"; }
hedgerow replay --seconds 5
hedgerow load --seconds 3 --swap-rate 20
hedgerow drill outage-2025-11-18 --seconds 5
