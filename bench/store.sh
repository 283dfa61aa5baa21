#!/bin/bash
# The history of telemetry, beside its peers on the same samples: SQLite and PostgreSQL as Aether uses them, both with one
# plain row per value, VictoriaMetrics and Prometheus. The peers and plain rows get a tenth of the rows.
#   bench/store.sh [-n ROWS=10000000] [-s sqlite|postgresql|both|none] [-p yes|no: peers]
# Needs: cmake --build --preset release --target bench_store; the packages prometheus and victoria-metrics, curl.
set -euo pipefail
cd "$(dirname "$0")/.."
rows=10000000 store=both peers=yes
while getopts n:s:p: flag; do
  case $flag in n) rows=$OPTARG ;; s) store=$OPTARG ;; p) peers=$OPTARG ;; *) exit 2 ;; esac
done
program=build/release/bin/bench_store
work=$(mktemp -d /tmp/aether-store-XXXXXX)
pids=()
finish() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_for() {
  local until=$((SECONDS + 60))
  until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $until ] || { echo "waited too long for: $*" >&2; exit 1; }; sleep 0.1; done
}
cpu_s() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); printf "%.2f", ($12 + $13) / hz }' "/proc/$1/stat"; }
bytes_of() { du -sb "$1" | cut -f1; }
now() { date +%s.%N; }

echo "$(date -u +%F), $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"
[ "$store" = none ] || $program --rows "$rows" --store "$store"
[ "$peers" = yes ] || exit 0

text=$work/samples.txt
$program --export --rows $((rows / 10)) >"$text"
samples=$(($(wc -l <"$text") - 1))
first=1800000000 last=$((1800000000 + rows / 10 / 64))
report() {  # name, seconds, CPU seconds, bytes, query milliseconds
  awk -v name="$1" -v n="$samples" -v s="$2" -v c="$3" -v b="$4" -v q="$5" 'BEGIN {
    printf "%s: %d values\n  write       %.0f values/s, %.2f CPU s per million samples\n  size        %.3f bytes per sample\n  15 min raw  64 GPUs, 1 metric: %.1f ms over HTTP\n",
           name, n, n / s, c / n * 1e6, b / n, q }'
}
query_ms() {  # port: the third of three
  local end=$((last - 60)) took
  for _ in 1 2 3; do
    took=$(curl -sS -o /dev/null -w '%{time_total}' "http://127.0.0.1:$1/api/v1/query_range?query=power_draw_w&start=$((end - 900 > first ? end - 900 : first))&end=$end&step=1")
  done
  awk -v t="$took" 'BEGIN { print 1000 * t }'
}

if command -v victoria-metrics >/dev/null; then
  port=$(free_port)
  victoria-metrics -storageDataPath="$work/vm" -httpListenAddr="127.0.0.1:$port" -retentionPeriod=100y >"$work/vm.log" 2>&1 & pid=$!; pids+=($pid)
  wait_for curl -sf "http://127.0.0.1:$port/health"
  begin=$(now) cpu=$(cpu_s $pid)
  grep -v '^#' "$text" | sed -E 's/ ([0-9]+)\.([0-9]{3})$/ \1\2/' | curl -sS -T - "http://127.0.0.1:$port/api/v1/import/prometheus"
  curl -sS "http://127.0.0.1:$port/internal/force_flush" >/dev/null
  took=$(echo "$(now) $begin" | awk '{ print $1 - $2 }') used=$(echo "$(cpu_s $pid) $cpu" | awk '{ print $1 - $2 }')
  curl -sS "http://127.0.0.1:$port/internal/force_merge" >/dev/null; sleep 5
  report "VictoriaMetrics $(victoria-metrics --version 2>&1 | grep -o 'v[0-9.]*' | head -1), text import" "$took" "$used" "$(bytes_of "$work/vm/data")" "$(query_ms "$port")"
else
  echo "VictoriaMetrics is not installed"
fi
if command -v promtool >/dev/null; then
  begin=$(now)
  cpu=$( { TIMEFORMAT='%U %S'; time promtool tsdb create-blocks-from openmetrics -q "$text" "$work/prometheus" >/dev/null; } 2>&1 | awk 'END { print $1 + $2 }')
  took=$(echo "$(now) $begin" | awk '{ print $1 - $2 }')
  size=$(bytes_of "$work/prometheus")
  port=$(free_port)
  : >"$work/prometheus.yml"
  prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/prometheus" --storage.tsdb.retention.time=100y \
    --web.listen-address="127.0.0.1:$port" >"$work/prometheus.log" 2>&1 & pids+=($!)
  wait_for curl -sf "http://127.0.0.1:$port/-/ready"
  report "Prometheus $(prometheus --version 2>&1 | awk 'NR == 1 { print $3 }'), blocks from OpenMetrics" "$took" "$cpu" "$size" "$(query_ms "$port")"
else
  echo "Prometheus is not installed"
fi
