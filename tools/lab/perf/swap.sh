#!/usr/bin/env bash
# The swap as it happens, by bpftrace at hedgerow's own points: see tools/lab/perf/swap.bt.
#
#   tools/lab/perf/swap.sh [WORDS…]     of `hedgerow WORDS…`, by default `replay --seconds 5`
#
# Needs root. Fails where bpftrace saw no entry or no publish. See tools/lab/perf/common.sh for what else
# can be set.
. "$(dirname "$0")/common.sh"

need bpftrace bpftrace
[ "$(id -u)" = 0 ] || fail "bpftrace needs root"
build
[ $# -gt 0 ] || set -- replay --seconds 5
said="$folder/swap.txt"
timeout 600 bpftrace tools/lab/perf/swap.bt "$hedgerow" -c "$hedgerow $*" 2>"$folder/swap.log" |
    tee "$said" || { cat "$folder/swap.log" >&2; fail "bpftrace"; }
grep -q '^@all_entries: [1-9]' "$said" && grep -q '^@all_publishes: [1-9]' "$said" || {
    cat "$folder/swap.log" >&2
    fail "bpftrace saw nothing"
}
