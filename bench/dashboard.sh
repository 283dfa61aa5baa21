#!/bin/bash
# Budgets of the dashboard beside their targets: bench/dashboard.sh [GPUS...]   (64 1000 10000)
# Sizes of scripts and style sheets, first load, frames, script per tick, stream, latency, heap. Needs chromium and the
# built dashboard. AETHER_SECONDS=60: how long each size is watched (the long run: 1800). AETHER_BIN_DIR: the programs.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${AETHER_BIN_DIR:-$root/build/release/bin}
export AETHER_SECONDS=${AETHER_SECONDS:-60}
if [ $# = 0 ]; then set -- 64 1000 10000; fi
failed=0
for gpus in "$@"; do
  echo "== $gpus GPUs, watched for $AETHER_SECONDS s, load average $(cut -d' ' -f1 /proc/loadavg) on $(nproc) cores"
  "$root/tests/e2e/dashboard.sh" "$bin" scale "$gpus" | grep -v '^ok ' || failed=1
done
exit $failed
