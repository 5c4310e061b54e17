#!/usr/bin/env bash
# The hot loop, instruction by instruction: shares of the samples beside the machine code and the
# lines that it comes from.
#
#   tools/perf/annotate.sh [WORDS…]          of `hedgerow WORDS…`, by default `replay --seconds 5`
#   SYMBOL=margin_avx2 tools/perf/annotate.sh bench default --kernel avx2
#
# Prints the functions by their share, then the hottest instructions of the first one, or of SYMBOL
# (a part of its name). The whole function lands in target/perf/annotate.txt. See
# tools/perf/common.sh for what else can be set.
. "$(dirname "$0")/common.sh"

need perf linux-perf
choose_event
build
record "$folder/annotate.data" -e "$event" -F 1999 -- "$@"
perf report -i "$folder/annotate.data" --stdio --sort symbol --percent-limit 1 --no-inline \
    2>/dev/null | sed -n 's/^ *\([0-9.]*%\) *\[[.k]\] */\1 /p' >"$folder/functions.txt"
[ -s "$folder/functions.txt" ] || fail "no samples: see $folder/annotate.data.log"
echo "$command, samples by $event:"
head -12 "$folder/functions.txt"
symbol="$(sed 's/^[^ ]* //; s/ *$//' "$folder/functions.txt" |
    grep -F -m1 -- "${SYMBOL:-}")" || fail "no function with 1 % of the samples is named ${SYMBOL:-}"

perf annotate -i "$folder/annotate.data" --stdio --symbol "$symbol" --no-asm-raw \
    >"$folder/annotate.txt" 2>>"$folder/annotate.data.log" ||
    fail "perf annotate: see $folder/annotate.data.log"
echo
echo "the hottest instructions of $symbol (all of it: $folder/annotate.txt):"
grep -E '^ +[0-9]+\.[0-9]+ ' "$folder/annotate.txt" | sort -rn | head -20 || true
