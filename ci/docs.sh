#!/usr/bin/env bash
# Builds the documentation, the library's with all features; warnings and broken links are errors.
set -euo pipefail
cd "$(dirname "$0")/.."
bash ci/setup.sh build

# The programs have no public API, and the program `hedgerow` would overwrite the library's pages.
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --exclude hedgerow-cli --exclude hedgerow-fleet \
    --all-features --no-deps --quiet
echo "documented: ${CARGO_TARGET_DIR:-target}/doc/hedgerow/index.html"
