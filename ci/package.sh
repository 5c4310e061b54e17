#!/usr/bin/env bash
# Checks that the packages could be published: metadata, size, and that each compiles from what is in
# it. The packages: hedgerow, hedgerow-import, hedgerow-cli, hedgerow-fleet.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(hedgerow hedgerow-import hedgerow-cli hedgerow-fleet)
target=${CARGO_TARGET_DIR:-$PWD/target}
out=$target/package/check
rm -rf "$out"
mkdir -p "$out"

# Tests and benches stay out of the packages on purpose: cargo warns of each.
cargo publish --dry-run --no-verify --allow-dirty --target-dir "$out" \
    "${packages[@]/#/--package=}" >"$out/log" 2>&1 || { cat "$out/log" >&2; exit 1; }

version=$(cargo pkgid --package hedgerow | sed 's/.*[#@]//')
for package in "${packages[@]}"; do
    crate=$(find "$out" -name "$package-$version.crate" | head -n 1)
    bytes=$(stat -c %s "$crate")
    echo "$package: $bytes bytes, $(tar -tf "$crate" | wc -l) files"
    [ "$bytes" -le 1000000 ] || { echo "FAILED: more than 1,000,000 bytes" >&2; exit 1; }
    tar -xf "$crate" -C "$out"
done

# A workspace of the unpacked packages, which takes each from there and nothing from the checkout.
{
    echo '[workspace]'
    echo 'resolver = "3"'
    echo "members = [$(printf "\"%s-$version\"," "${packages[@]}")]"
    echo '[patch.crates-io]'
    for package in "${packages[@]}"; do
        echo "$package = { path = \"$package-$version\" }"
    done
} >"$out/Cargo.toml"
cp Cargo.lock "$out/"
CARGO_TARGET_DIR=$target cargo check --quiet --offline --workspace --manifest-path "$out/Cargo.toml"
echo "each compiles from its package"
