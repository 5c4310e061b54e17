#!/bin/sh
# Tries the faults of a fleet for long, with real servers and processes, and prints how often each
# was tried. As root also those that need networks, clocks and disks of their own; what cannot be
# tried is a failure. `cargo test -p hedgerow-fleet` runs the short version.
#
#   tools/fleet/faults.sh [--rounds N] [--cuts N] [--agents N]
#
# --rounds N   how often each is tried (60)
# --cuts N     how often a network is cut for a minute (3)
# --agents N   how many agents there are on one machine (200)
set -eu
rounds=60 cuts=3 agents=200
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2; }
    case $1 in
        --rounds) rounds=$2 ;;
        --cuts) cuts=$2 ;;
        --agents) agents=$2 ;;
        *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
    shift 2
done
cd "$(dirname "$0")/../.."
sh tools/fleet/setup.sh
[ "$(id -u)" -ne 0 ] || export HEDGEROW_FLEET_ALL=1
# Two hundred engines in the test's own process have many files open.
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
HEDGEROW_REQUIRE_PEERS=1 HEDGEROW_FLEET_ROUNDS="$rounds" HEDGEROW_FLEET_CUTS="$cuts" \
    HEDGEROW_FLEET_CUT_SECONDS=60 HEDGEROW_FLEET_MANY="$agents" \
    cargo test --release -p hedgerow-fleet --test fleet -- --nocapture --test-threads 1 \
    faults a_stolen_key
