#!/usr/bin/env bash
# Checks that all sources are formatted, and that all scripts parse.
set -euo pipefail
cd "$(dirname "$0")/.."

for manifest in Cargo.toml fuzz/Cargo.toml tools/lab/proofs/no-panic/Cargo.toml; do
    cargo fmt --all --check --manifest-path "$manifest"
done
git ls-files -z '*.sh' .ci/run | xargs -0 -n1 bash -n
git ls-files -z '*.py' | xargs -0 python3 -c '
import ast, sys
for path in sys.argv[1:]:
    ast.parse(open(path).read(), path)
'
python3 tools/lab/record/check.py >/dev/null
for kinds in kinds kinds-behind; do
    python3 tools/lab/record/check.py --small "tools/lab/record/data/$kinds.ndjson.gz" >/dev/null
done
python3 tools/lab/train/check.py >/dev/null
echo "formatted: Rust; parsed: $(git ls-files '*.sh' '*.py' | wc -l) scripts"
