#!/bin/bash
# Every policy on every recorded workload at three loads, beliefs learned and global, and the figures to reach.
#   AETHER_TRACES=FOLDER bench/traces.sh [AETHER_PROGRAM]      FOLDER holds venus_sept and philly_dev
set -euo pipefail
cd "$(dirname "$0")/.."
aether="${1:-build/release/bin/aether}"
traces="${AETHER_TRACES:?name the folder that holds venus_sept and philly_dev}"
for set in venus_sept philly_dev; do
  overhead="${set%%_*}"
  for load in 0.9 1.0 1.1; do
    echo "== $set, load $load"
    "$aether" replay "$traces/$set" --overhead "$overhead" --load "$load" \
      --policy fifo,sjf,fifo-skip,easy,srtf,tiresias
    "$aether" replay "$traces/$set" --overhead "$overhead" --load "$load" --no-model --policy gittins,ai
    "$aether" replay "$traces/$set" --overhead "$overhead" --load "$load" --policy gittins,ai
  done
done
cat <<'TARGETS'
== to reach (JCT / queue, s)
venus_sept, load 1.0, non-preemptive   15300 / 3550
venus_sept, load 1.0, preemptive       13300 / 1500, p99.9 queue 205316
venus_sept, load 1.1, preemptive       16000
TARGETS
