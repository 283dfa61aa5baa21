#!/bin/bash
# All pictures of docs/screenshots, both themes: dashboard/scripts/screenshots.sh [BIN_DIR]
# 64 simulated GPUs behind the real programs, with jobs that run, wait and fail, and one GPU that overheats; then an
# invented fleet of 10,240 GPUs, and one of 64 with faults. AETHER_URL and AETHER_TOKEN name a running server instead of the first.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=${1:-$root/build/release/bin}
out=$root/docs/screenshots
shoot() { (cd "$root/dashboard" && node scripts/shoot.mjs "$@"); }
export NO_COLOR=1

if [ -z "${AETHER_URL:-}" ]; then
  state=$(mktemp -d /tmp/aether-shots-XXXXXX)
  export AETHER_STATE_DIR=$state
  identity=()
  if [ "$(id -u)" = 0 ]; then identity=(--executor-run-as nobody); fi
  setsid "$bin/aether" up --state-dir "$state" --log-format json --node node-01 --gpus simulated:64,seed=7,scenario=hot --listen-dashboard 127.0.0.1:0 \
    --listen-api 127.0.0.1:0 --listen-ai 127.0.0.1:0 --listen-metrics 127.0.0.1:0 "${identity[@]}" >"$state/up.log" 2>&1 </dev/null &
  pid=$!
  trap 'kill -KILL "$pid" 2>/dev/null || true; rm -rf "$state" "$state-jobs"' EXIT
  for _ in $(seq 300); do grep -q '"event":"ready"' "$state/up.log" && break; sleep 0.1; done
  submit() { "$bin/aether" submit -q --time 40m "$@" >/dev/null; }
  sleep 3
  submit --gpus 16 --name llama-70b-sft -- sleep 1800
  submit --gpus 8 --name diffusion-xl-pre -- sleep 1700
  submit --gpus 4 --type inference --name whisper-serve -- sleep 900
  submit --gpus 1 --name broken -- sh -c 'echo failing >&2; exit 3'
  submit --gpus 12 --name rl-sweep -- sleep 1500
  submit --gpus 6 --name eval-harness -- sleep 1200
  submit --gpus 40 --name moe-routing -- sleep 60
  submit --gpus 32 --priority 40 --name sae-train -- sleep 60
  submit --gpus 20 --priority 30 --name tokenizer-sweep -- sleep 60
  submit --gpus 100 --priority 10 --name too-large -- sleep 60
  submit --gpus 2 --name printing -- bash -c 'i=0; while true; do i=$((i+1)); echo "epoch $i loss 0.$((RANDOM%100)) lr 3e-4"; sleep 0.5; done'
  sleep "${AETHER_WARM_UP_S:-300}"
  AETHER_URL=$(sed -n 's/.*"dashboard":"\([^"]*\)".*/\1/p' "$state/up.log" | tail -1)
  AETHER_TOKEN=$(cat "$state/token")
fi
rm -rf "$out"
WAIT=3500 shoot "$AETHER_URL" "$AETHER_TOKEN" "$out"
SIZE=390x844 WAIT=3500 shoot "$AETHER_URL" "$AETHER_TOKEN" "$out" phone-overview=/ "phone-jobs=/jobs?tab=waiting"

log=$(mktemp /tmp/aether-fleet-XXXXXX)
coproc FLEET { exec "$bin/../tests/dashboard_fleet" 10240 "$root/dashboard/out" >"$log" 2>&1; }
for _ in $(seq 100); do grep -q address "$log" && break; sleep 0.1; done
large=$(sed -n 's/.*"address":"\([^"]*\)".*/\1/p' "$log")
WAIT=4000 shoot "$large" aeth_dashboard_test "$out" overview-10240=/ gpus-10240=/gpus timeline-10240=/timeline
kill "$FLEET_PID"
rm -f "$log"

# What one calm node does not show, on an invented fleet of 8 nodes with 8 GPUs each: lost, throttling, slow and idle ones.
coproc SMALL { exec "$bin/../tests/dashboard_fleet" 64 "$root/dashboard/out" >"$log" 2>&1; }
for _ in $(seq 100); do grep -q address "$log" && break; sleep 0.1; done
sleep 60
small=$(sed -n 's/.*"address":"\([^"]*\)".*/\1/p' "$log")
WAIT=4000 shoot "$small" aeth_dashboard_test "$out" overview-faults=/ anomalies-faults=/anomalies
kill "$SMALL_PID"
rm -f "$log"
# A palette of 128 colours tells these pages apart, at a third of the size. Debian's pngquant makes it, where it is installed.
if command -v pngquant >/dev/null; then pngquant --force --ext .png --skip-if-larger 128 "$out"/*.png || true; fi
du -sh "$out"
