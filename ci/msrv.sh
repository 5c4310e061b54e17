#!/usr/bin/env bash
# Checks that the library and the programs need no newer Rust than `rust-version` says.
#
# With that toolchain installed (`rustup toolchain install VERSION`), they are compiled with it.
# Without: no dependency may ask for a newer Rust. Uses of a newer standard library are then found
# by clippy alone (`incompatible_msrv`, part of ci/lints.sh).
set -euo pipefail
cd "$(dirname "$0")/.."

python3 - <<'END'
import json, subprocess, sys

metadata = json.loads(subprocess.check_output(
    ["cargo", "metadata", "--format-version=1", "--locked", "--quiet"]))
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
version = lambda text: tuple(int(part) for part in f"{text or 0}.0.0".split(".")[:3])
least = {package["id"]: package["rust_version"] for package in packages.values()
         if package["id"] in metadata["workspace_members"]}
newer, seen = set(), set()
for member, claimed in least.items():
    todo, reached = [member], set()
    while todo:
        package = todo.pop()
        if package in reached:
            continue
        reached.add(package)
        asked = packages[package]["rust_version"]
        if version(asked) > version(claimed):
            newer.add(f"{packages[package]['name']} {packages[package]['version']} needs Rust "
                      f"{asked}, and {packages[member]['name']} promises {claimed}")
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    seen |= reached
print("\n".join(sorted(newer)), file=sys.stderr, end="\n" if newer else "")
print(f"{len(seen)} packages: none needs a newer Rust" if not newer else "FAILED")
sys.exit(bool(newer))
END

version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
if cargo "+$version" --version >/dev/null 2>&1; then
    CARGO_TARGET_DIR=target/msrv cargo "+$version" check --quiet --locked -p hedgerow \
        -p hedgerow-import -p hedgerow-cli
    echo "compiles with Rust $version"
else
    echo "not compiled with Rust $version: rustup toolchain install $version"
fi
