#!/bin/bash
# Budgets of the dashboard beside their targets: bench/dashboard.sh [GPUS] [BIN_DIR]   AETHER_SECONDS=180 (the long run: 1800)
# Sizes of scripts and style sheets, frames, script per tick, stream, latency, heap. Needs chromium and the built dashboard.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
exec "$root/tests/e2e/dashboard.sh" "${2:-$root/build/release/bin}" scale "${1:-10000}"
