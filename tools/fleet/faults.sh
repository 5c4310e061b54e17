#!/bin/sh
# Tries the faults of a fleet for long, with real servers and processes, and prints how often each
# was tried. `cargo test -p hedgerow-fleet` runs the short version.
#
#   tools/fleet/faults.sh [--rounds N]
#
# --rounds N   how often each is tried (60)
set -eu
rounds=60
while [ $# -gt 0 ]; do
    case $1 in
        --rounds) [ $# -ge 2 ] || exit 2; rounds=$2; shift 2 ;;
        *) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
done
cd "$(dirname "$0")/../.."
sh tools/fleet/setup.sh
HEDGEROW_REQUIRE_PEERS=1 HEDGEROW_FLEET_ROUNDS="$rounds" \
    cargo test --profile fleet -p hedgerow-fleet --test fleet -- --nocapture --test-threads 1 faults
