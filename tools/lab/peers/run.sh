#!/usr/bin/env bash
# Measures hedgerow next to other libraries on the same models and rows, in one run, on one core.
# Installs what it needs under target/, makes the models once, and writes table, JSON, CSV and
# HTML. README.md beside this file says what is measured and how to read it.
#   tools/lab/peers/run.sh [--quick] [--out DIR] [--record] [--self-test] [--core N] [--only NAMES]
set -euo pipefail
command="tools/lab/peers/run.sh $*"
root="$(cd "$(dirname "$0")/../../.." && pwd)"
out="$root/target/peers-report"
record=no
pass=()
while [ $# -gt 0 ]; do
    case "$1" in
    --out)
        out="$(mkdir -p "${2:?--out: expected a directory}" && cd "$2" && pwd)"
        shift
        ;;
    --record) record=yes ;;
    --quick | --self-test) pass+=("$1") ;;
    --core | --only)
        pass+=("$1" "${2:?$1: expected a value}")
        shift
        ;;
    *)
        sed -n '2,5s/^# \{0,1\}//p' "$0"
        echo "unknown option $1" >&2
        exit 2
        ;;
    esac
    shift
done
cd "$root"

need() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null || {
        echo "$1 is missing: on Debian and Ubuntu, apt-get install $2" >&2
        exit 1
    }
}
need cargo cargo
need g++ g++
need gcc gcc
need python3 python3
python3 -c 'import ensurepip' 2>/dev/null || {
    echo "Python cannot make environments: on Debian and Ubuntu, apt-get install python3-venv" >&2
    exit 1
}

venv=target/peers-venv
wanted="$(cat tools/lab/peers/requirements.txt)"
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
    echo "installing the peers under $venv" >&2
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r tools/lab/peers/requirements.txt
    printf '%s\n' "$wanted" >"$venv/installed"
fi

models=target/peers-models
"$venv/bin/python" tools/lab/peers/models.py "$models" >&2

# Tables are made anew each time: the compiler is hedgerow's, and is what is measured too.
cargo build --release --quiet -p hedgerow-cli
for model in "$models"/*/*/model.json "$models"/*/*/model.txt; do
    target/release/hedgerow compile "$model" --positive human -o "$(dirname "$model")/model.hedge" >/dev/null
done
cargo build --release --quiet -p peers

# Libraries that start threads as soon as they are loaded start one.
export OMP_NUM_THREADS=1 PEERS_COMMAND="$command"
target/release/peers --models "$models" --venv "$venv" --out "$out" "${pass[@]}"
if [ "$record" = yes ]; then
    for kind in md json csv html; do
        cp "$out/peers.$kind" "benches/record/$(date -u +%F)-peers.$kind"
    done
fi
