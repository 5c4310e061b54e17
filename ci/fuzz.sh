#!/usr/bin/env bash
# Fuzzes with libFuzzer under AddressSanitizer, guided by coverage, one target after the other.
#
#   ci/fuzz.sh [SECONDS] [TARGET...]
#
# Defaults: 10 seconds each of table, extract and models. An hour each: ci/fuzz.sh 3600. It runs on the stable toolchain, which is asked for these flags by
# RUSTC_BOOTSTRAP. Inputs that reach new code stay under target/fuzz/corpus, what fails under
# target/fuzz/artifacts. A failure ends the run.
set -euo pipefail

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
targets=(table extract models)
seconds=10
if [ $# -gt 0 ]; then
    case $1 in '' | *[!0-9]*) usage ;; esac
    seconds=$1
    shift
fi
[ $# -gt 0 ] || set -- "${targets[@]}"
for target; do
    [[ " ${targets[*]} " == *" $target "* ]] || usage
done

cd "$(dirname "$0")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$PWD/target/fuzz
# What cargo-fuzz sets. The target is named, so that build scripts are built without them.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Zsanitizer=address \
-Cdebug-assertions -Coverflow-checks=on"
cargo build --release --quiet --manifest-path fuzz/Cargo.toml --target "$host" \
    --bin seeds "${@/#/--bin=}"
programs=$CARGO_TARGET_DIR/$host/release
"$programs/seeds" "$CARGO_TARGET_DIR/corpus" tools/import/tests/data

for target; do
    corpus=$CARGO_TARGET_DIR/corpus/$target artifacts=$CARGO_TARGET_DIR/artifacts/$target
    mkdir -p "$artifacts"
    log=$CARGO_TARGET_DIR/$target.log
    status=0
    "$programs/$target" "$corpus" -artifact_prefix="$artifacts/" -max_total_time="$seconds" \
        -max_len=32768 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 >"$log" 2>&1 ||
        status=$?
    if [ "$status" -ne 0 ]; then
        tail -n 60 "$log" >&2
        echo "FAILED: fuzz target $target, status $status; all of it: $log; input: $artifacts" >&2
        exit 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    [ "${runs:-0}" -gt 0 ] || { echo "FAILED: $target ran no input; see $log" >&2; exit 1; }
    echo "$target: $runs inputs in $seconds s, none fails; $(find "$corpus" -type f | wc -l) kept"
done
