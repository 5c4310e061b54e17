#!/bin/sh
# Measures a fleet on this machine: from a command's start to the last engine that has a table of
# 1 MB, went back, or switched its ensemble off. One NATS server, an agent's process for each node,
# and all engines in one process. The nodes' folders are in memory, since on one machine they would
# share one disk.
#
#   tools/fleet/measure.sh [--agents N] [--rounds N]
set -eu
agents=50 rounds=9
while [ $# -gt 0 ]; do
    case $1 in
        --agents) [ $# -ge 2 ] || exit 2; agents=$2; shift 2 ;;
        --rounds) [ $# -ge 2 ] || exit 2; rounds=$2; shift 2 ;;
        *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
done
cd "$(dirname "$0")/../.."
sh tools/fleet/setup.sh
HEDGEROW_REQUIRE_PEERS=1 HEDGEROW_FLEET_PLACES=/dev/shm HEDGEROW_FLEET_AGENTS="$agents" \
    HEDGEROW_FLEET_MEASURES="$rounds" \
    cargo test --release -p hedgerow-fleet --test fleet -- --nocapture the_last_of_many
