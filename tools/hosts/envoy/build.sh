#!/usr/bin/env bash
# Builds the dynamic module for Envoy 1.40, and prints where it is:
#
#   tools/hosts/envoy/build.sh [OPTION...]
#
# Options are cargo build's: with `--package hedgerow-cli` the command line is built along, and what
# both depend on is built once.
# Envoy looks for it in $ENVOY_DYNAMIC_MODULES_SEARCH_PATH, under the name hedgerow_envoy.
set -euo pipefail
cd "$(dirname "$0")/../../.."
cargo build --quiet --release --package hedgerow-envoy "$@" >&2
echo "${CARGO_TARGET_DIR:-$PWD/target}/release/libhedgerow_envoy.so"
