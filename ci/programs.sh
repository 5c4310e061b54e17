#!/usr/bin/env bash
# Tests what is no default member: the fleet (a real database, NATS servers, a bucket), the proxy
# (real sockets, real clients), the example on hyper, and the comparison with other libraries. One
# build for all.
set -euo pipefail
cd "$(dirname "$0")/.."
bash ci/setup.sh build

test=(cargo test --release -p hedgerow-fleet -p hedgerow-proxy -p hedgerow-hyper -p peers)
# What is missing may be installed meanwhile.
"${test[@]}" --quiet --no-run
bash ci/setup.sh envoy fronts proxy fleet
"${test[@]}"
