#!/bin/sh
# Fuzzes the importers with libFuzzer under AddressSanitizer, one target after the other.
#
#   ci/fuzz_import.sh [SECONDS] [TARGET...]
#
# Defaults: 60 seconds each of catboost, lightgbm, xgboost_json and xgboost_ubj. It needs a nightly
# toolchain and no cargo-fuzz. Seeds are the small models of the importers' tests; what is found
# new stays under fuzz/corpus, and what fails under fuzz/artifacts. A failure ends the run.
set -eu

usage() {
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 2
}
seconds=60
if [ $# -gt 0 ]; then
    case $1 in '' | *[!0-9]*) usage ;; esac
    seconds=$1
    shift
fi
[ $# -gt 0 ] || set -- catboost lightgbm xgboost_json xgboost_ubj

cd "$(dirname "$0")/../fuzz"
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "SKIPPED: fuzzing needs a nightly toolchain: rustup toolchain install nightly" >&2
    [ "${HEDGEROW_REQUIRE_PEERS:-}" != 1 ]
    exit
fi
host=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz sets.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Zsanitizer=address \
-Ccodegen-units=16 -Cdebug-assertions -Coverflow-checks=on"
for target; do
    case $target in
        catboost | lightgbm | xgboost_json | xgboost_ubj) ;;
        *) usage ;;
    esac
    cargo +nightly build --release --quiet --target "$host" --bin "$target"
done
for target; do
    case $target in
        catboost) seeds='catboost-*.json' ;;
        lightgbm) seeds='lightgbm*.txt' ;;
        xgboost_json) seeds='xgboost*.json' ;;
        xgboost_ubj) seeds='xgboost*.ubj' ;;
    esac
    mkdir -p "corpus/$target" "artifacts/$target"
    find ../tools/import/tests/data -name "$seeds" ! -name '*.expected.json' \
        -exec cp {} "corpus/$target/" \;
    echo "== $target, $seconds s"
    "target/$host/release/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" \
        -max_total_time="$seconds" -max_len=32768 -timeout=10 -rss_limit_mb=1024 \
        -print_final_stats=1 2>&1 | tail -n 25
    if [ -n "$(ls "artifacts/$target")" ]; then
        echo "failed: see fuzz/artifacts/$target" >&2
        exit 1
    fi
done
