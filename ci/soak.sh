#!/bin/sh
# Runs the gate's mutation test for long, under AddressSanitizer on the stable toolchain.
#
#   ci/soak.sh [--mutations N] [--seconds S] [--threads T] [--first N] [--plain]
#
# Defaults: 50 million mutations, an hour at most, one thread per core. Overflow checks and debug
# assertions are on. The test prints how many mutations were run, and their fates. --plain leaves
# AddressSanitizer out, which runs several times as many.
set -eu

mutations=50000000
seconds=3600
threads=$(nproc)
first=0
plain=
usage() {
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
        --plain) plain=1; shift; continue ;;
        --mutations | --seconds | --threads | --first) ;;
        *) usage ;;
    esac
    [ $# -ge 2 ] || usage
    case $2 in '' | *[!0-9]*) usage ;; esac
    case $1 in
        --mutations) mutations=$2 ;;
        --seconds) seconds=$2 ;;
        --threads) threads=$2 ;;
        --first) first=$2 ;;
    esac
    shift 2
done

cd "$(dirname "$0")/.."
export HEDGEROW_MUTATIONS="$mutations" HEDGEROW_MUTATION_SECONDS="$seconds"
export HEDGEROW_MUTATION_THREADS="$threads" HEDGEROW_MUTATION_FIRST="$first"
export CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true

host=$(rustc -vV | sed -n 's/^host: //p')
if [ -z "$plain" ]; then
    # The flag is not stable yet. AddressSanitizer's runtime is part of the stable toolchain.
    export RUSTC_BOOTSTRAP=1 RUSTFLAGS="${RUSTFLAGS:-} -Zsanitizer=address"
    echo "AddressSanitizer: on ($(rustc --version))"
else
    echo "AddressSanitizer: off"
fi
# The sanitizer needs the target named, so that build scripts are built without it.
exec cargo test -p hedgerow --release --target "$host" --target-dir target/soak \
    --test gate_mutations -- --exact --nocapture no_mutant_gets_the_better_of_the_gate
