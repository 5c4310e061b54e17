#!/bin/sh
# The outage of 18 November 2025 with a real database, for a minute: ClickHouse with two databases,
# a permission that flips, a table generated every second, and an engine that scores all the while.
# Prints a line a second. `cargo test -p hedgerow-fleet` runs the short version.
#
#   tools/fleet/outage.sh [--ticks N]
#
# --ticks N   seconds (60)
set -eu
ticks=60
while [ $# -gt 0 ]; do
    case $1 in
        --ticks) [ $# -ge 2 ] || exit 2; ticks=$2; shift 2 ;;
        *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
done
cd "$(dirname "$0")/../.."
sh tools/fleet/setup.sh
HEDGEROW_REQUIRE_PEERS=1 HEDGEROW_OUTAGE_TICKS="$ticks" \
    cargo test --release -p hedgerow-fleet --test fleet -- --nocapture the_old_query
