#!/usr/bin/env bash
# Where the time goes: a flame graph of a run, in target/perf/flame.svg.
#
#   tools/lab/perf/flame.sh [WORDS…]           of `hedgerow WORDS…`, by default `replay --seconds 5`
#   tools/lab/perf/flame.sh bench default --kernel portable --seconds 2
#   AGAINST=target/perf/before.folded tools/lab/perf/flame.sh …
#                                          also what differs from an earlier run: flame-diff.svg
#
# The folded stacks land beside it (flame.folded): keep them to compare with. Inlined functions are
# shown where they were written. See tools/lab/perf/common.sh for what else can be set.
. "$(dirname "$0")/common.sh"

need perf linux-perf
need addr2line binutils
need_inferno
choose_event
build
record "$folder/flame.data" -e "$event" -F 999 -g -- "$@"
fold "$folder/flame.data" >"$folder/flame.folded"
samples="$(awk '{ n += $NF } END { print n + 0 }' "$folder/flame.folded")"
[ "$samples" -gt 0 ] || fail "no samples: see $folder/flame.data.log"
draw() {
    "$inferno/inferno-flamegraph" --title "$command" \
        --subtitle "$samples samples by $event, $(date -u +%F)" --colors rust \
        --countname samples --minwidth 0.2 "$@"
}
draw <"$folder/flame.folded" >"$folder/flame.svg"
echo "$folder/flame.svg: $samples samples of $command by $event"
if [ -n "${AGAINST:-}" ]; then
    # Samples are scaled to the same number, so that shares are compared.
    "$inferno/inferno-diff-folded" --normalize "$AGAINST" "$folder/flame.folded" |
        "$inferno/inferno-flamegraph" --title "$command, red: more than in $AGAINST" \
            --minwidth 0.2 >"$folder/flame-diff.svg"
    echo "$folder/flame-diff.svg: what differs from $AGAINST"
fi
