#!/bin/bash
# What scoring costs the proxy: builds it as people run it, then runs it with scoring off and on.
# Usage: run.sh [--rounds N] [--seconds N] [--log FILE] [--json FILE]; three minutes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for tool in wrk taskset python3; do
  command -v "$tool" > /dev/null || { echo "run.sh: $tool is not there: tools/proxy/setup.sh" >&2; exit 1; }
done
target=${CARGO_TARGET_DIR:-$here/../target}
cargo build --quiet --release --manifest-path "$here/../Cargo.toml" --bins --examples
exec python3 "$here/bench.py" "$target/release/examples/upstream" "$target/release/hedgerow-proxy" "$@"
