#!/usr/bin/env bash
# Checks the library's features: none, each alone, the default, all; and that a host that only scores
# needs few crates.
set -euo pipefail
cd "$(dirname "$0")/.."

crates() { cargo tree --package hedgerow --edges normal --prefix none --no-dedupe --format '{p}' "$@" |
    sort -u | wc -l; }

most=15
count=$(crates --no-default-features)
echo "crates without features: $count, with the default ones: $(crates)"
[ "$count" -le "$most" ] || {
    cargo tree --package hedgerow --edges normal --no-default-features >&2
    echo "FAILED: expected at most $most crates without features, got $count" >&2
    exit 1
}

features=$(cargo metadata --format-version=1 --no-deps | python3 -c '
import json, sys
packages = json.load(sys.stdin)["packages"]
library = next(package for package in packages if package["name"] == "hedgerow")
print(*(name for name in library["features"] if name != "default"))
')
check() {
    echo "features: ${*:-default}"
    cargo clippy --quiet --package hedgerow --lib "$@" -- -D warnings
}
check --no-default-features
for feature in $features; do
    check --no-default-features --features "$feature"
done
check
check --all-features
