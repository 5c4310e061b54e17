#!/usr/bin/env bash
# Counts the instructions of the hot path, and checks that a planted slowdown is noticed.
set -euo pipefail
cd "$(dirname "$0")/.."
bash ci/setup.sh valgrind


bash tools/lab/perf/instructions.sh
bash tools/lab/perf/instructions.sh --test
