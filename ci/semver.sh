#!/usr/bin/env bash
# Checks that the public API of the library breaks no promise since the last release.
#
# A release is a tag v*. Needs cargo-semver-checks (`cargo install cargo-semver-checks --locked`).
# By hand, before a release.
set -euo pipefail
cd "$(dirname "$0")/.."

baseline=$(git tag --list 'v*' --sort=-version:refname | head -n 1)
if [ -z "$baseline" ]; then
    echo "no baseline yet: there is no tag v*, so nothing is released that could be broken"
    exit 0
fi
command -v cargo-semver-checks >/dev/null || {
    echo "cargo-semver-checks is missing: cargo install cargo-semver-checks --locked" >&2
    exit 1
}
cargo semver-checks --package hedgerow --baseline-rev "$baseline"
