# Read by the scripts beside this file; it does nothing on its own. Each of them runs hedgerow's
# command line under perf: `SCRIPT [WORDS…]` runs `hedgerow WORDS…`, by default `hedgerow replay
# --seconds 5`. So `hedgerow bench`, or whatever else the command line has, is profiled by naming it.
#
#   HEDGEROW=…   runs this program, built before with frame pointers, and builds nothing
#   PLANTED=1    builds with --cfg planted_slowdown: AVX2 is slow on purpose, to be found
#   EVENT=…      what perf samples by; else cycles where the machine counts them, or the clock
#
# Results land in target/perf/, or in $CARGO_TARGET_DIR/perf/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

# Absolute, as perf names programs.
target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
folder="$target/perf"
mkdir -p "$folder"

fail() {
    echo "FAILED: $1" >&2
    exit 1
}

# The first lines of the script that reads this file, where they are its usage.
usage() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit 2
}
case "${1:-}" in -h | --help) usage ;; esac

[ -x "${HEDGEROW:-/bin/sh}" ] || fail "HEDGEROW: expected a program, got $HEDGEROW"

# need COMMAND PACKAGE: installs Debian's package where the command is missing and root runs this.
need() {
    command -v "$1" >/dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null &&
        apt-get install --yes --quiet "$2" >/dev/null 2>&1 && command -v "$1" >/dev/null ||
        fail "$1 is missing: install the package $2"
}

# Folds and draws; a program of its own, built once.
need_inferno() {
    inferno="$folder/inferno/bin"
    [ -x "$inferno/inferno-flamegraph" ] && return
    CARGO_TARGET_DIR="$target/inferno" cargo install --quiet --root "$folder/inferno" \
        --version 0.12.4 --locked inferno
}

# Builds with the profile `profiling` (release code with lines) and frame pointers, by which perf and
# bpftrace walk the stack.
build() {
    local wrapper=
    hedgerow="${HEDGEROW:-}"
    [ -n "$hedgerow" ] && return
    hedgerow="$folder/hedgerow"
    if [ "${PLANTED:-}" = 1 ]; then
        # For this workspace's crates alone, so what they depend on is not built again.
        wrapper="$PWD/tools/lab/perf/planted.sh"
        # The same name, so that perf has both threads' stacks under one.
        hedgerow="$folder/planted/hedgerow"
        mkdir -p "$folder/planted"
    fi
    RUSTFLAGS="-Cforce-frame-pointers=yes" CARGO_TARGET_DIR="$target/profiling" \
        RUSTC_WORKSPACE_WRAPPER="$wrapper" \
        cargo build --quiet --profile profiling --package hedgerow-cli
    # A copy: perf looks the code up again later, and the next build may put other code there.
    cmp -s "$target/profiling/profiling/hedgerow" "$hedgerow" ||
        cp "$target/profiling/profiling/hedgerow" "$hedgerow"
}

# What to sample by: virtual machines often have no counters.
choose_event() {
    event="${EVENT:-}"
    [ -n "$event" ] && return
    event=cpu-clock
    if perf stat -x, -e cycles -- true 2>&1 | grep -q '^[0-9][0-9]*,,cycles'; then
        event=cycles
    fi
}

# record FILE OPTIONS… -- WORDS…: perf on a run of hedgerow, whose own words go to FILE.txt.
record() {
    local to="$1" options=()
    shift
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    [ $# -gt 0 ] || set -- replay --seconds 5
    command="hedgerow $*"
    perf record --quiet -o "$to" "${options[@]}" -- "$hedgerow" "$@" >"$to.txt" 2>"$to.log" || {
        cat "$to.txt" "$to.log" >&2
        fail "perf record of $command"
    }
}

# fold DATA OPTIONS…: the stacks of a recording, as inferno folds them, inlined functions included.
fold() {
    local data="$1" stacks="$1.stacks" shift_by
    shift
    perf script -i "$data" --no-inline -F comm,tid,time,event,ip,sym,dso "$@" \
        >"$stacks" 2>"$data.log"
    # perf writes places in the file; addr2line wants those in memory.
    shift_by="$(LC_ALL=C readelf -lW "$hedgerow" | awk '$1 == "LOAD" && / R E / { print $3 " - " $2; exit }')"
    grep -F "($hedgerow)" "$stacks" | awk '{ print $1 }' | sort -u |
        while read -r address; do printf '%s 0x%x\n' "$address" $((0x$address + shift_by)); done \
            >"$data.places" || true
    cut -d' ' -f2 "$data.places" | addr2line -e "$hedgerow" -afiC 2>>"$data.log" |
        awk -v places="$data.places" '/^0x/ { getline place <places; sub(/ .*/, "", place); print "= " place } { print }' \
            >"$data.inlined"
    awk -v binary="$hedgerow" -f tools/lab/perf/frames.awk "$data.inlined" "$stacks" |
        "$inferno/inferno-collapse-perf" 2>>"$data.log" | merge_threads | sort
}

# One thread a kind: workers differ by their core alone.
merge_threads() { sed -E 's/^([a-z]+)-[0-9]+;/\1;/'; }
