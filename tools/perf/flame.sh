#!/usr/bin/env bash
# Where the time goes: draws a flame graph of `hedgerow bench` into target/perf/.
#
#   tools/perf/flame.sh [TABLE [ROWS]]     the built-in table, or a file and rows to score with it
#   KERNEL=portable SECONDS_EACH=3 tools/perf/flame.sh
#
# Builds with the profile `profiling` (release with debug information) and frame pointers, records
# with perf on the processor's clock (virtual machines often have no counters), and folds and draws
# with inferno. Installs perf (Debian's linux-perf) and inferno where they are missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

target="${CARGO_TARGET_DIR:-target}"
folder="$target/perf"
mkdir -p "$folder"
if ! command -v perf >/dev/null; then
    apt-get install --yes --quiet linux-perf || {
        echo "perf is missing, and apt-get install linux-perf failed" >&2
        exit 1
    }
fi
if ! [ -x "$folder/inferno/bin/inferno-flamegraph" ]; then
    CARGO_TARGET_DIR="$target/inferno" cargo install --quiet --root "$folder/inferno" \
        --version 0.12.4 --locked inferno
fi

RUSTFLAGS="-Cforce-frame-pointers=yes" CARGO_TARGET_DIR="$target/profiling" \
    cargo build --quiet --profile profiling --package hedgerow-cli

kernel=()
[ -n "${KERNEL:-}" ] && kernel=(--kernel "$KERNEL")
perf record --quiet -e cpu-clock -F 999 -g -o "$folder/perf.data" -- \
    "$target/profiling/profiling/hedgerow" bench "${1:-default}" "${@:2}" "${kernel[@]}" \
    --seconds "${SECONDS_EACH:-2}"
perf script -i "$folder/perf.data" 2>/dev/null |
    "$folder/inferno/bin/inferno-collapse-perf" --quiet >"$folder/folded.txt" 2>/dev/null
"$folder/inferno/bin/inferno-flamegraph" --title "hedgerow bench ${1:-default}" \
    <"$folder/folded.txt" >"$folder/flame.svg"
echo "$folder/flame.svg, from $(awk '{ n += $NF } END { print n }' "$folder/folded.txt") samples"
