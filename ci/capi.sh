#!/usr/bin/env bash
# Runs the C ABI's test in C under valgrind and AddressSanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."
bash ci/setup.sh valgrind

bash tools/capi/check.sh
