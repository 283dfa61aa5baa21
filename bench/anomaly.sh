#!/bin/bash
# Labelled runs of simulated GPUs: precision, recall and time to detect, and false alarms on healthy runs, of the detector,
# of fixed thresholds and of an isolation forest:  bench/anomaly.sh [--unused] [--seeds N] [--healthy N] [--kind NAME]
# Needs: cmake --build --preset release --target bench_anomaly
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
exec "$root/build/release/bin/bench_anomaly" "$@"
