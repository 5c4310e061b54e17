#!/usr/bin/env bash
# Counts the instructions that a row takes on the portable and the AVX2 kernel, under callgrind, and
# holds them against tools/perf/instructions.txt: at most 2 % more or fewer. Wall time says little
# on a shared machine; a count is the same on every run. Callgrind knows no AVX-512.
#
#   tools/perf/instructions.sh            compares
#   tools/perf/instructions.sh --renew    writes the expected counts anew, on purpose
#   tools/perf/instructions.sh --slowed   scores every row twice, and must be refused
#
# The counts depend on the compiler: the file names the one it was made with, and with another one
# nothing is compared (SKIPPED; a failure with HEDGEROW_REQUIRE_PEERS=1).
set -euo pipefail
cd "$(dirname "$0")/../.."

mode="${1:-}"
case "$mode" in '' | --renew | --slowed) ;; *)
    echo "usage: tools/perf/instructions.sh [--renew | --slowed]" >&2
    exit 2
    ;;
esac

skip() {
    echo "*** SKIPPED: instruction counts: $1 ***"
    if [ "${HEDGEROW_REQUIRE_PEERS:-}" = 1 ]; then exit 1; fi
    exit 0
}

[ "$(uname -m)" = x86_64 ] || skip "the counts are those of x86-64"
grep -qw avx2 /proc/cpuinfo || skip "this machine has no AVX2"
if ! command -v valgrind >/dev/null; then
    apt-get install --yes --quiet valgrind >/dev/null 2>&1 || skip "valgrind is missing, and apt-get install valgrind failed"
fi

expected=tools/perf/instructions.txt
compiler="$(rustc --version)"
if [ "$mode" != --renew ]; then
    [ -r "$expected" ] || { echo "$expected is missing: make it with --renew" >&2; exit 1; }
    made_with="$(sed -n 's/^# compiler: //p' "$expected")"
    [ "$made_with" = "$compiler" ] || skip "$expected is of $made_with, and this is $compiler"
fi

# Plain release code, whatever the caller's flags.
RUSTFLAGS="" cargo build --release --quiet --example counted
driver="${CARGO_TARGET_DIR:-target}/release/examples/counted"
folder="${CARGO_TARGET_DIR:-target}/perf"
mkdir -p "$folder"

passes=1
[ "$mode" = --slowed ] && passes=2

# Instructions a row, of the function `counted` and all it calls.
count() {
    local log="$folder/callgrind.log" rows total
    rows="$(valgrind --tool=callgrind --callgrind-out-file="$folder/callgrind.out" \
        --toggle-collect=counted::counted "$driver" "$1" "$2" "$3" "$passes" 2>"$log" |
        sed 's/ rows,.*//')" || { cat "$log" >&2; exit 1; }
    total="$(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$log")"
    if [ -z "$rows" ] || [ "${total:-0}" -le "$rows" ]; then
        echo "callgrind counted nothing in \`counted\`: see $log" >&2
        exit 1
    fi
    echo $((total / rows))
}

if [ "$mode" = --renew ]; then
    {
        echo "# Instructions a row: kernel, table, rows at once, count. tools/perf/instructions.sh --renew"
        echo "# compiler: $compiler"
    } >"$folder/instructions.txt"
fi

failed=0
for kernel in portable avx2; do
    for table in oblivious leafwise complete; do
        for rows in alone batches; do
            got="$(count "$kernel" "$table" "$rows")"
            if [ "$mode" = --renew ]; then
                printf '%-9s %-10s %-8s %8d\n' "$kernel" "$table" "$rows" "$got" |
                    tee -a "$folder/instructions.txt"
                continue
            fi
            want="$(awk -v k="$kernel" -v t="$table" -v r="$rows" \
                '$1 == k && $2 == t && $3 == r { print $4 }' "$expected")"
            if [ -z "$want" ]; then
                echo "$expected has no count of $kernel $table $rows; renew it" >&2
                exit 1
            fi
            verdict="$(awk -v got="$got" -v want="$want" 'BEGIN {
                percent = 100 * (got - want) / want
                word = percent > 2 ? "MORE" : percent < -2 ? "FEWER" : "ok"
                printf "expected %8d, got %8d (%+.1f %%) %s", want, got, percent, word }')"
            printf '%-9s %-10s %-8s %s\n' "$kernel" "$table" "$rows" "$verdict"
            case "$verdict" in *ok) ;; *) failed=1 ;; esac
        done
    done
done

if [ "$mode" = --renew ]; then
    mv "$folder/instructions.txt" "$expected"
    echo "wrote $expected"
elif [ "$failed" = 1 ]; then
    echo "FAILED: instructions a row differ by more than 2 % from $expected." >&2
    echo "MORE is a regression: find it with callgrind_annotate $folder/callgrind.out (of the last" >&2
    echo "count). Where it is meant, or FEWER: tools/perf/instructions.sh --renew, and say why in" >&2
    echo "the commit." >&2
    exit 1
else
    echo "instructions a row: as expected"
fi
