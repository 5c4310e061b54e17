#!/usr/bin/env bash
# Counts the instructions of the hot path's parts under callgrind: rows on the portable and the AVX2
# kernel, verdicts, extraction, entering and leaving; and holds them against
# tools/lab/perf/instructions.txt: at most 2 % more or fewer. Wall time says little on a shared machine; a
# count is the same on every run. Callgrind knows no AVX-512.
#
#   tools/lab/perf/instructions.sh            compares
#   tools/lab/perf/instructions.sh --renew    writes the expected counts anew, on purpose
#   tools/lab/perf/instructions.sh --test     counts rows with some instructions more, planted in the
#                                         driver; succeeds if the comparison refuses them
#
# PLANTED=1 builds with --cfg planted_slowdown: a kernel that is slow on purpose, to be found.
#
# The counts depend on the compiler: the file names the one it was made with, and with another one
# nothing is compared (SKIPPED; a failure with HEDGEROW_REQUIRE_PEERS=1).
set -euo pipefail
cd "$(dirname "$0")/../../.."

mode="${1:-}"
case "$mode" in '' | --renew | --test) ;; *)
    echo "usage: tools/lab/perf/instructions.sh [--renew | --test]" >&2
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

expected=tools/lab/perf/instructions.txt
compiler="$(rustc --version)"
if [ "$mode" != --renew ]; then
    [ -r "$expected" ] || { echo "$expected is missing: make it with --renew" >&2; exit 1; }
    made_with="$(sed -n 's/^# compiler: //p' "$expected")"
    [ "$made_with" = "$compiler" ] || skip "$expected is of $made_with, and this is $compiler"
fi

folder="${CARGO_TARGET_DIR:-target}/perf"
mkdir -p "$folder"

# Kernel, table, how.
parts() {
    local kernel table
    for kernel in portable avx2; do
        for table in oblivious leafwise complete borders; do
            echo "$kernel $table alone"
            echo "$kernel $table batches"
        done
        echo "$kernel default verdicts"
    done
    echo "- http extract"
    echo "- swap enter"
}

# build DRIVER: plain release code, whatever the caller's flags; a copy, because the next build may
# put another one in its place.
build() {
    if [ "${PLANTED:-}" = 1 ]; then
        # For this workspace's crates alone: what they depend on is not built again.
        export RUSTC_WORKSPACE_WRAPPER="$PWD/tools/lab/perf/planted.sh"
    fi
    RUSTFLAGS="" cargo build --release --quiet --example counted
    cp "${CARGO_TARGET_DIR:-target}/release/examples/counted" "$1"
}

# Instructions a row of the functions `counted_…` and all that they call. What callgrind saw is kept.
count() {
    local name="$folder/callgrind.$1.$2.$3" rows total
    rows="$(valgrind --tool=callgrind --callgrind-out-file="$name.out" \
        --toggle-collect='counted::counted_*' "$driver" "$1" "$2" "$3" 2>"$name.log" |
        sed 's/ rows,.*//')" || { cat "$name.log" >&2; exit 1; }
    total="$(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$name.log")"
    if [ -z "$rows" ] || [ "${total:-0}" -le "$rows" ]; then
        echo "callgrind counted nothing of $1 $2 $3: see $name.log" >&2
        exit 1
    fi
    # In tenths: entering and leaving is a few.
    awk -v total="$total" -v rows="$rows" 'BEGIN { printf "%.1f", total / rows }'
}

# compare KERNEL TABLE HOW: prints a line, and leaves a complaint in $complaints where it is off.
compare() {
    local want got percent word
    want="$(awk -v k="$1" -v t="$2" -v h="${3/planted/alone}" '$1 == k && $2 == t && $3 == h { print $4 }' "$expected")"
    if [ -z "$want" ]; then
        echo "$expected has no count of $1 $2 $3: tools/lab/perf/instructions.sh --renew" >&2
        exit 1
    fi
    got="$(count "$1" "$2" "$3")"
    percent="$(awk -v got="$got" -v want="$want" 'BEGIN { printf "%+.1f", 100 * (got - want) / want }')"
    word="$(awk -v got="$got" -v want="$want" \
        'BEGIN { print (got > want * 1.02 ? "MORE" : got < want * 0.98 ? "FEWER" : "ok") }')"
    printf '%-9s %-10s %-9s expected %9s, got %9s (%s %%) %s\n' \
        "$1" "$2" "$3" "$want" "$got" "$percent" "$word"
    [ "$word" = ok ] || cat >>"$complaints" <<END
  $1 $2 $3: expected $want instructions a row, got $got, $percent %: $word
    by function and line: callgrind_annotate --auto=yes $folder/callgrind.$1.$2.$3.out | less
END
}

compare_all() {
    complaints="$folder/complaints.txt"
    : >"$complaints"
    local part
    while read -r part; do
        # shellcheck disable=SC2086 # three words
        compare $part
    done
    [ -s "$complaints" ] || { echo "instructions a row: as expected"; return; }
    {
        echo "FAILED: more than 2 % from $expected:"
        cat "$complaints"
        echo "MORE is a regression. Where it is meant, or FEWER: tools/lab/perf/instructions.sh --renew,"
        echo "and say why in the commit. The manual's chapter on profiling shows how one is found."
    } >&2
    return 1
}

case "$mode" in
'')
    driver="$folder/counted"
    build "$driver"
    parts | compare_all
    ;;
--renew)
    driver="$folder/counted"
    build "$driver"
    {
        echo "# Instructions a row: kernel, table, how, count. tools/lab/perf/instructions.sh --renew"
        echo "# compiler: $compiler"
        parts | while read -r kernel table how; do
            printf '%-9s %-10s %-9s %9s\n' "$kernel" "$table" "$how" \
                "$(count "$kernel" "$table" "$how")"
        done
    } >"$folder/instructions.txt"
    mv "$folder/instructions.txt" "$expected"
    cat "$expected"
    ;;
--test)
    driver="$folder/counted"
    build "$driver"
    said="$folder/planted.txt"
    if printf '%s\n' "portable oblivious alone" "avx2 oblivious planted" | compare_all >"$said" 2>&1; then
        cat "$said"
        echo "FAILED: the planted slowdown was not noticed" >&2
        exit 1
    fi
    # Of the two, the one it was planted in, and that one alone.
    grep -q '^portable .* ok$' "$said" && grep -q '^  avx2 oblivious planted: .* MORE$' "$said" || {
        cat "$said" >&2
        echo "FAILED: the complaint is not about the planted slowdown alone" >&2
        exit 1
    }
    cat "$said"
    echo "as it should be: the planted slowdown is refused"
    ;;
esac
