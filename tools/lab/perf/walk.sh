#!/usr/bin/env bash
# The walk through the manual's chapter on profiling, with its commands: finds the planted slowdown by
# flame graphs and by the hot loop. Fails where they do not point at it. A minute, and two builds.
#
#   tools/lab/perf/walk.sh
. "$(dirname "$0")/common.sh"

grep -qw avx2 /proc/cpuinfo || fail "the slowdown is planted in AVX2, which this machine does not have"
run=(bench default --kernel avx2 --seconds 2)

# What share of the samples of single rows a function has, in percent.
share() {
    awk -v function_="$2" '
        index($0, "avx2::margin_of") { all += $NF; if (index($0, function_)) own += $NF }
        END { printf "%d", all ? 100 * own / all : 0 }' "$1"
}

tools/lab/perf/flame.sh "${run[@]}"
cp "$folder/flame.folded" "$folder/before.folded"
PLANTED=1 AGAINST="$folder/before.folded" tools/lab/perf/flame.sh "${run[@]}"
before="$(share "$folder/before.folded" avx2::lookup::)"
after="$(share "$folder/flame.folded" avx2::lookup::)"
echo "avx2::lookup: $before % of a single row's time before, $after % after"
[ "$before" -gt 0 ] || fail "expected avx2::lookup in the flame graph, found none"
[ "$after" -ge $((before + 10)) ] || fail "expected at least 10 points more of avx2::lookup"

PLANTED=1 SYMBOL=avx2::margin_of tools/lab/perf/annotate.sh "${run[@]}" | tee "$folder/walk.txt"
sed -n '/its hottest lines/,/^$/p' "$folder/walk.txt" | grep -q 'avx2/lookup.rs:[0-9]* chain' ||
    fail "expected lines of the lookup among the hottest"
echo "as it should be: the walk ends at the planted slowdown"
