#!/bin/bash
# What scoring costs the proxies: builds the one on Pingora as people run it, and nginx's module,
# then runs each with scoring off and on, in turns; eight minutes.
# Usage: run.sh [--only pingora|nginx] [--rounds N] [--seconds N] [--log FILE] [--json FILE]
# The last two are for Pingora alone: an access log while it runs, and the results.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

usage() { echo "run.sh: $1; usage:" >&2; sed -n 's/^# Usage: //p' "$0" >&2; exit 2; }

only=both rounds=9 seconds=3 more=()
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage "expected a value after $1"
  case $1 in
    --only) only=$2 ;;
    --rounds) rounds=$2 ;;
    --seconds) seconds=$2 ;;
    --log | --json) more+=("$1" "$2") ;;
    *) usage "expected an option, got $1" ;;
  esac
  shift 2
done
case $only in both | pingora | nginx) ;; *) usage "expected --only pingora or nginx, got $only" ;; esac
for number in "$rounds" "$seconds"; do
  [[ $number =~ ^[1-9][0-9]{0,3}$ ]] || usage "expected rounds and seconds from 1 to 9999, got $number"
done
for tool in wrk taskset python3; do
  command -v "$tool" > /dev/null || { echo "run.sh: $tool is not there: tools/hosts/pingora/setup.sh" >&2; exit 1; }
done

if [ "$only" != nginx ]; then
  target=${CARGO_TARGET_DIR:-$here/../../../../target}
  cargo build --quiet --release --manifest-path "$here/../Cargo.toml" --bins --examples
  echo "Pingora"
  python3 "$here/bench.py" "$target/release/examples/upstream" "$target/release/hedgerow-proxy" \
    --rounds "$rounds" --seconds "$seconds" "${more[@]}"
fi
if [ "$only" != pingora ]; then
  echo "nginx"
  bash "$here/../../nginx/bench.sh" "$rounds" "$seconds"
fi
