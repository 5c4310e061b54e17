#!/usr/bin/env bash
# Runs the C test of the C ABI under valgrind, and again under AddressSanitizer with its search for
# leaks. The library itself is not instrumented: memory that it takes and frees is watched, as are
# all accesses of the C side. Leaks are counted without the part that forks: in a child, what the
# parent's threads held is lost. 15 seconds, once the library is built.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v valgrind >/dev/null; then
    apt-get install --yes --quiet valgrind >/dev/null 2>&1 || {
        echo "*** SKIPPED: the C ABI under valgrind: apt-get install valgrind failed ***"
        if [ "${HEDGEROW_REQUIRE_PEERS:-}" = 1 ]; then exit 1; fi
        exit 0
    }
fi

library="$(bash tools/capi/build.sh)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

compile() {
    local to="$1"
    shift
    "${CC:-cc}" -std=c11 -g -Wall -Wextra -Werror "$@" -Iinclude tools/capi/c/capi.c "$library" \
        -o "$to" -lgcc_s -lpthread -ldl -lm
}

# The directory of each run is empty at its start.
try() {
    rm -rf "$work/watched"
    mkdir "$work/watched"
    timeout 300 "$@" "$work/good.hedge" "$work/bad.hedge" "$work/watched" "$work/key.pub" \
        "$work/signed.hedge" "$work/own.hedge"
}
# The example as the tests have built it: of the default members.
cargo run --quiet --release --example given -- "$work"

compile "$work/plain"
try "$work/plain"
echo "plain: done"
try valgrind --quiet --error-exitcode=9 "$work/plain"
export WITHOUT_FORK=1
try valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite \
    --show-leak-kinds=definite "$work/plain"
unset WITHOUT_FORK
echo "valgrind: done"
compile "$work/asan" -fsanitize=address,undefined -fno-sanitize-recover=all
# Its allocator has locks that a fork does not see to: where a thread of the watch holds one at that
# moment, the child waits for it for ever. The system's own allocator has them seen to, above.
WITHOUT_FORK=1 try "$work/asan"
echo "AddressSanitizer: done"
