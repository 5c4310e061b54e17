#!/usr/bin/env bash
# The hot loop, instruction by instruction: shares of the samples beside the machine code and the
# lines that it comes from.
#
#   tools/lab/perf/annotate.sh [WORDS…]          of `hedgerow WORDS…`, by default `replay --seconds 5`
#   SYMBOL=avx2::margin_of tools/lab/perf/annotate.sh bench default --kernel avx2
#
# Prints the functions by their share; then, of the first one or of SYMBOL (a part of its name), the
# hottest lines and instructions. The whole of it lands in target/perf/annotate.txt. See
# tools/lab/perf/common.sh for what else can be set.
. "$(dirname "$0")/common.sh"

need perf linux-perf
need addr2line binutils
choose_event
build
record "$folder/annotate.data" -e "$event" -F 1999 -- "$@"
perf report -i "$folder/annotate.data" --stdio --sort symbol --percent-limit 1 --no-inline \
    2>/dev/null | sed -n 's/ *- *- *$//; s/^ *\([0-9.]*%\) *\[[.k]\] */\1 /p' >"$folder/functions.txt"
[ -s "$folder/functions.txt" ] || fail "no samples: see $folder/annotate.data.log"
echo "$command, samples by $event:"
head -12 "$folder/functions.txt"
symbol="$(sed 's/^[^ ]* //; s/ *$//' "$folder/functions.txt" |
    grep -F -m1 -- "${SYMBOL:-}")" || fail "no function with 1 % of the samples is named ${SYMBOL:-}"

perf annotate -i "$folder/annotate.data" --stdio --symbol "$symbol" \
    >"$folder/annotate.txt" 2>>"$folder/annotate.data.log" ||
    fail "perf annotate: see $folder/annotate.data.log"
# Share, address and instruction; and the innermost line of this project that each comes from: the
# standard library's inlined code counts for the line that calls it.
awk '/^ +[0-9]+\.[0-9]+ +: +[0-9a-f]+:/ {
    share = $1; code = $0
    sub(/^ +[0-9.]+ +: +/, "", code); at = code; sub(/:.*/, "", at)
    sub(/^[0-9a-f]+: +/, "", code); sub(/ +[#<].*/, "", code)
    if (share > 0) print share "\t" at "\t" code
}' "$folder/annotate.txt" | sort -rn >"$folder/annotate.tsv"
[ -s "$folder/annotate.tsv" ] || fail "no samples in $symbol: see $folder/annotate.txt"
cut -f2 "$folder/annotate.tsv" | addr2line -e "$hedgerow" -afiC | awk '
/^0x/ { at = $0; sub(/^0x0*/, "", at); number = 0; next }
{ if (++number % 2) { name = $0; next } }
at in seen || /^\/rustc\/|\/registry\/|^\?\?/ { next }
{
    sub(/ \(discriminator.*/, ""); sub(/.*\/src\//, "src/")
    if (name !~ /^</) sub(/<.*/, "", name)
    sub(/^.*::/, "", name)
    seen[at]; print at "\t" $0 " " name
}' >"$folder/annotate.lines"
awk -F'\t' 'NR == FNR { line[$1] = $2; next } { print $1 "\t" $3 "\t" line[$2] }' \
    "$folder/annotate.lines" "$folder/annotate.tsv" >"$folder/annotate.hot"
echo
echo "$symbol, its hottest lines:"
awk -F'\t' '{ share[$3] += $1 } END { for (line in share) printf "%6.2f %s\n", share[line], line }' \
    "$folder/annotate.hot" | sort -rn | sed -n 1,10p
echo
echo "its hottest instructions (all of it: $folder/annotate.txt):"
sed -n 1,15p "$folder/annotate.hot" | awk -F'\t' '{ printf "%6.2f %-46s %s\n", $1, $2, $3 }'
