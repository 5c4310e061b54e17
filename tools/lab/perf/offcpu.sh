#!/usr/bin/env bash
# Where threads do not run: how long each was off its core, why, and from where.
#
#   tools/lab/perf/offcpu.sh [WORDS…]     of `hedgerow WORDS…`, by default `replay --seconds 5`
#
# Software events alone, so it needs no root: a stack at every switch, and the moments of leaving and
# coming back. A thread is off its core because it waits (sleeps, blocks), or because another one had
# the core (preempted). Prints both a thread; target/perf/offcpu.svg shows the stacks by
# microseconds. What this cannot show is who had the core meanwhile: that is another process's
# business, and takes root (`perf sched record`). See tools/lab/perf/common.sh for what else can be set.
. "$(dirname "$0")/common.sh"

need perf linux-perf
need_inferno
build
record "$folder/offcpu.data" -e context-switches -c 1 -g --switch-events -- "$@"
perf script -i "$folder/offcpu.data" --show-switch-events --no-inline \
    -F comm,tid,time,event,ip,sym 2>"$folder/offcpu.data.log" |
    awk -v table="$folder/offcpu.txt" '
# A sample begins with its thread, followed by its stack, innermost first, up to an empty line.
function seconds(text) { sub(/:$/, "", text); return text + 0 }
/PERF_RECORD_SWITCH/ {
    match($0, /[0-9]+ +[0-9]+\.[0-9]+: PERF/)
    split(substr($0, RSTART), words, " ")
    tid = words[1]; at = seconds(words[2])
    if ($0 ~ / OUT/) { left[tid] = at; preempted[tid] = $0 ~ /preempt/ }
    else if (tid in left) {
        name = names[tid] == "" ? "?" : names[tid]
        off = at - left[tid]
        why = preempted[tid] ? "preempted" : "waited"
        total[name, why] += off; count[name, why]++; known[name]
        if (off > worst[name, why]) worst[name, why] = off
        micros = int(off * 1e6 + 0.5)
        if (micros > 0) print name ";" (preempted[tid] ? "(preempted)" : stack[tid]) " " micros
        delete left[tid]
    }
    next
}
/context-switches:/ {
    match($0, / +[0-9]+ +[0-9]+\.[0-9]+:/)
    name = substr($0, 1, RSTART - 1); sub(/^ +/, "", name)
    split(substr($0, RSTART), words, " ")
    open = words[1]; names[open] = name; stack[open] = ""
    next
}
/^\t/ && open {
    symbol = $0; sub(/^[ \t]*[0-9a-f]+ /, "", symbol); gsub(/;/, ":", symbol)
    sub(/\+0x[0-9a-f]+$/, "", symbol); sub(/::h[0-9a-f]+$/, "", symbol)
    stack[open] = symbol (stack[open] == "" ? "" : ";" stack[open])
    next
}
END {
    printf "%-16s %-10s %8s %12s %12s\n", "thread", "off core", "times", "seconds", "longest, ms" >table
    for (name in known) for (n = 1; n <= 2; n++) {
        why = n == 1 ? "waited" : "preempted"
        if (count[name, why]) printf "%-16s %-10s %8d %12.3f %12.3f\n", name, why, \
            count[name, why], total[name, why], 1e3 * worst[name, why] | ("sort >>" table)
    }
}' | sort >"$folder/offcpu.all"
awk '{ n = $NF; sub(/ [0-9]+$/, ""); sum[$0] += n } END { for (s in sum) print s, sum[s] }' \
    "$folder/offcpu.all" | merge_threads | sort >"$folder/offcpu.folded"
[ -s "$folder/offcpu.folded" ] || fail "no switches: see $folder/offcpu.data.log"
"$inferno/inferno-flamegraph" --title "$command, off its cores" --subtitle "$(date -u +%F)" \
    --countname microseconds --colors blue --minwidth 0.2 \
    <"$folder/offcpu.folded" >"$folder/offcpu.svg"
echo "$command, off its cores:"
cat "$folder/offcpu.txt"
echo "$folder/offcpu.svg: the stacks"
