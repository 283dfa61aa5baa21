#!/bin/bash
# The dashboard in a real browser against the real programs: simulated GPUs, jobs that run and wait, a restart by kill -9.
#   dashboard.sh BIN_DIR            pictures go to $AETHER_SHOTS when that is set; $AETHER_E2E_GPUS: how many (64)
#   dashboard.sh BIN_DIR scale N    an invented fleet of N GPUs (1000, 10000) behind the real API and stream:
#                                   budgets, printed; $AETHER_SECONDS: how long (180)
#   dashboard.sh BIN_DIR pages N    the same fleet: each page's main task by keyboard alone and by mouse alone, axe
#   dashboard.sh BIN_DIR senses N   forced colours, contrast, motion, widths from 320 to 2560 px, colour vision
# Exit 77 (skipped) when chromium or the built dashboard is missing; a failure where CI is set.
set -euo pipefail
gpus=${AETHER_E2E_GPUS:-64}
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$1

missing() {
  echo "skipped: $1"
  if [ -n "${CI:-}" ]; then exit 1; fi
  exit 77
}
command -v chromium >/dev/null || missing "chromium is not installed"
command -v node >/dev/null || missing "node is not installed"
[ -f "$root/dashboard/out/assets.json" ] || missing "the dashboard is not built (npm run build in dashboard/)"
[ -d "$root/dashboard/node_modules/playwright-core" ] || missing "the dashboard's test packages are not installed (npm ci in dashboard/)"

case "${2:-}" in scale|pages|senses)
  fleet=$(cd "$bin/../tests" && pwd)/dashboard_fleet
  [ -x "$fleet" ] || missing "dashboard_fleet is not built"
  log=$(mktemp /tmp/aether-fleet-XXXXXX)
  # It ends with its input, which ends with this script.
  coproc FLEET { exec "$fleet" "$3" "$root/dashboard/out" >"$log" 2>&1; }
  trap 'kill "$FLEET_PID" 2>/dev/null || true; rm -f "$log"' EXIT
  for _ in $(seq 100); do grep -q address "$log" && break; sleep 0.1; done
  AETHER_URL=$(sed -n 's/.*"address":"\([^"]*\)".*/\1/p' "$log") AETHER_TOKEN=$(sed -n 's/.*"token":"\([^"]*\)".*/\1/p' "$log") \
    node "$root/dashboard/test/e2e/$2.mjs"
  exit
  ;;
esac

state=${AETHER_E2E_STATE:-}
first=no
if [ -z "$state" ]; then
  state=$(mktemp -d /tmp/aether-e2e-XXXXXX)
  first=yes
fi
export ASAN_OPTIONS=detect_leaks=0 OMP_NUM_THREADS=1 AETHER_STATE_DIR=$state AETHER_E2E_STATE=$state NO_COLOR=1

address() { sed -n "s|.*\"event\":\"ready\".*\"$1\":\"http://\([^\"]*\)\".*|\1|p" "$state/up.log" | tail -1; }

start() {
  local identity=() dashboard=127.0.0.1:0 api=127.0.0.1:0
  if [ "$(id -u)" = 0 ]; then identity=(--executor-run-as nobody); fi
  if [ -f "$state/up.log" ]; then dashboard=$(address dashboard) api=$(address api); rm "$state/up.log"; fi
  setsid "$bin/aether" up --state-dir "$state" --log-format json --node node-01 --gpus "simulated:$gpus,seed=7" \
    --listen-dashboard "$dashboard" --listen-api "$api" --listen-ai 127.0.0.1:0 --listen-metrics 127.0.0.1:0 \
    "${identity[@]}" >"$state/up.log" 2>&1 </dev/null &
  echo $! >"$state/pid"
  for _ in $(seq 600); do
    if grep -q '"event":"ready"' "$state/up.log" 2>/dev/null; then return 0; fi
    sleep 0.1
  done
  cat "$state/up.log"
  return 1
}

end() { kill -KILL "$(cat "$state/pid")" 2>/dev/null || true; }

if [ "${2:-}" = restart ]; then
  end
  sleep 2
  start
  exit 0
fi

finish() {
  for job in $("$bin/aether" queue --no-headers -o name 2>/dev/null); do "$bin/aether" cancel --now "$job" >/dev/null 2>&1 || true; done
  sleep 2
  end
  rm -rf "$state" "$state-jobs"
}
start
trap finish EXIT
for _ in $(seq 100); do
  if [ "$("$bin/aether" gpus --no-headers -o name | wc -l)" = "$gpus" ]; then break; fi
  sleep 0.1
done
submit() { "$bin/aether" submit -q --time 30m "$@" >/dev/null; }
submit --gpus 2 --name llama-70b-sft -- sleep 900
submit --gpus 2 --name diffusion-xl-pre -- sleep 900
submit --gpus 1 --type inference --name whisper-serve -- sleep 900
submit --gpus 1 --name quick -- sh -c 'for i in 1 2 3; do echo "step $i"; sleep 0.2; done'
submit --gpus "$gpus" --name moe-routing -- sleep 60
submit --gpus $((gpus - 2)) --priority 40 --name sae-train -- sleep 60
submit --gpus $((gpus * 2)) --priority 10 --name too-large -- sleep 60
sleep "${AETHER_WARM_UP_S:-8}"
export AETHER_URL AETHER_TOKEN
AETHER_URL=http://$(address dashboard) AETHER_TOKEN=$(cat "$state/token")
failed=0
node "$root/dashboard/test/e2e/tasks.mjs" || failed=1
node "$root/dashboard/test/e2e/firefox.mjs" || [ $? = 77 ] || failed=1
AETHER_RESTART_CMD="$0 $bin restart" node "$root/dashboard/test/e2e/overview.mjs" || failed=1
exit $failed
