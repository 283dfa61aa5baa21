#!/bin/bash
# Builds and runs the macro benches; the output is what docs/measurements/ holds.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset release >/dev/null
cmake --build --preset release --target benches >/dev/null
echo "$(date -u +%F), $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) cores"
for name in predict submit ingest scheduler fleet; do  # the history: bench/store.sh
  echo "== $name"
  build/release/bin/bench_$name 2>/dev/null
done
