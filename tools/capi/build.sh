#!/usr/bin/env bash
# Builds the library for hosts in C, and prints where it is:
#
#   tools/capi/build.sh            libhedgerow.a
#   tools/capi/build.sh shared     libhedgerow.so
#
# The header is include/hedgerow.h.
set -euo pipefail
cd "$(dirname "$0")/../.."

case "${1:-static}" in
static) type=staticlib file=libhedgerow.a ;;
shared) type=cdylib file=libhedgerow.so ;;
*)
    echo "usage: tools/capi/build.sh [static | shared]" >&2
    exit 2
    ;;
esac
cargo rustc --quiet --package hedgerow --release --lib --features capi --crate-type "$type" >&2
echo "${CARGO_TARGET_DIR:-$PWD/target}/release/$file"
