#!/usr/bin/env bash
# Page faults, context switches and moves between cores of each thread, and where the faults are.
#
#   tools/lab/perf/threads.sh [WORDS…]     of `hedgerow WORDS…`, by default `replay --seconds 5`
#
# Counts all, samples nothing. A thread that scores should have next to no faults after its start,
# and be switched out only where something else wants its core. See tools/lab/perf/common.sh for what
# else can be set.
. "$(dirname "$0")/common.sh"

need perf linux-perf
build
record "$folder/threads.data" -e minor-faults -e major-faults -e context-switches \
    -e cpu-migrations -c 1 -g -- "$@"
echo "$command:"
perf script -i "$folder/threads.data" -G -F comm,tid,event 2>"$folder/threads.data.log" | awk '
{
    match($0, / +[0-9]+ +[a-z-]+: *$/)
    name = substr($0, 1, RSTART - 1); sub(/^ +/, "", name)
    split(substr($0, RSTART), words, " "); sub(/:$/, "", words[2])
    key = name " " words[1]; known[key]; count[key, words[2]]++
}
END {
    printf "%-24s %12s %12s %12s %12s\n", "thread", "minor-faults", "major-faults", "switches", "moves"
    for (key in known) printf "%-24s %12d %12d %12d %12d\n", key, count[key, "minor-faults"],
        count[key, "major-faults"], count[key, "context-switches"], count[key, "cpu-migrations"] | "sort"
}'
echo
echo "minor faults by thread and function:"
perf report -i "$folder/threads.data" --stdio --no-children --no-inline -g none \
    --sort comm,symbol --percent-limit 2 2>/dev/null |
    sed -n '/minor-faults/,/^# Samples.*major/s/ *- *- *$//; s/^ *\([0-9.]*%\)/\1/p' | head -12
