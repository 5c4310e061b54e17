#!/bin/sh
# Tries the faults of a watched directory for long, with real processes, and prints how often each
# was tried. About half an hour; `cargo test` runs the short version.
#
#   ci/faults.sh [--kills N]
#
# --kills N   kill -9 of the publisher, so often (1000)
#
# As root it also fills a small file system and runs engines as another user; without, those two
# are skipped and say so.
set -eu

kills=1000
while [ $# -gt 0 ]; do
    case $1 in
        --kills) [ $# -ge 2 ] || exit 2; kills=$2; shift 2 ;;
        *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
done
case $kills in '' | *[!0-9]*) echo "expected a number of kills, got $kills" >&2; exit 2 ;; esac

cd "$(dirname "$0")/.."
export HEDGEROW_FAULTS_LONG=1 HEDGEROW_PUBLISHER_KILLS="$kills"
cargo test --release -p hedgerow-cli --test faults --no-run
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --release -p hedgerow-cli --test faults -- --nocapture --test-threads=1 >"$log" 2>&1 ||
    status=$?
grep -E ': .*(times|once|good, )|SKIPPED|panicked|^test result' "$log" || cat "$log"
[ "$status" -eq 0 ] || cat "$log" >&2
exit "$status"
