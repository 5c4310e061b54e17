#!/usr/bin/env bash
# Runs README's second command: the tests of all default members.
set -euo pipefail
cd "$(dirname "$0")/.."

# What is missing may be installed meanwhile.
cargo test --release --quiet --no-run
# nginx is tested behind other proxies, with browsers.
bash ci/setup.sh import cli envoy nginx fronts proxy
cargo test --release
