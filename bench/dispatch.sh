#!/bin/bash
# No-op jobs through real processes: `aether up` with SQLite on disk, and beside it, in the same run on the same machine,
# Slurm with one node and fake GPUs, tuned for throughput. Prints a table; `-o json` prints one JSON object.
#   bench/dispatch.sh [-o json] [-n JOBS] [-l LATENCY_SAMPLES] [-b FOLDER_OF_AETHER]
# Slurm: apt-get install slurmctld slurmd slurm-client munge. Its daemons run as root, with a key, configuration and state
# of their own in a temporary folder, and are ended by their pids.
set -euo pipefail
cd "$(dirname "$0")/.."
output=table jobs=1000 samples=20 bin=build/release/bin
while getopts o:n:l:b: flag; do
  case $flag in
    o) output=$OPTARG ;; n) jobs=$OPTARG ;; l) samples=$OPTARG ;; b) bin=$OPTARG ;;
    *) sed -n '4,4s/^# *//p' "$0" >&2; exit 2 ;;
  esac
done
[ "$(id -u)" = 0 ] || { echo "run it as root: jobs and Slurm's daemons change their account" >&2; exit 2; }
[ -x "$bin/aether" ] || { echo "no $bin/aether; build it with: cmake --build --preset release --target aether aether-shim" >&2; exit 2; }

. bench/lib.sh
make_work dispatch
chmod 0755 "$work"
mkdir -m 0777 "$work/out"
now() { date +%s.%N; }
rate() { awk -v n="$1" -v a="$2" -v b="$3" 'BEGIN { printf "%.1f", n / (b - a) }'; }
# Nearest rank of the milliseconds on stdin.
percentile() { sort -n | awk -v p="$1" '{ v[NR] = $1 } END { k = int(NR * p); if (k < NR * p) k++; printf "%.1f", v[k] }'; }
elapsed_ms() { awk -v a="$1" -v b="$2" 'BEGIN { print (b - a) * 1000 }'; }
# Asks four times a second: whoever asks takes time from the jobs.
wait_until_idle() {  # command
  local until=$((SECONDS + 600))
  until "$1"; do
    [ $SECONDS -lt "$until" ] || { echo "waited too long for: $1" >&2; exit 1; }
    sleep 0.25
  done
}

# ---- Aether ----

"$bin/aether" up --state-dir "$work/state" --log-format json --listen-api 127.0.0.1:0 --listen-dashboard 127.0.0.1:0 \
  --listen-ai 127.0.0.1:0 --listen-metrics 127.0.0.1:0 --node n1 --gpus simulated:8,seed=7 --executor-run-as nobody \
  >"$work/aether.log" 2>&1 &
pids+=($!)
wait_for 60 ready_line "$work/aether.log"
ready=$(ready_line "$work/aether.log")
api=$(jq -r .api <<<"$ready")
token=$(cat "$(jq -r .token_file <<<"$ready")")

post_noop() {  # count: one client, one connection, one request after the other; prints the status codes
  curl -s -o /dev/null -w '%{http_code}\n' -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
    -d '{"argv":["/bin/true"],"gpus":0,"time_limit_s":60}' "$api/api/v1/jobs#[1-$1]"
}
aether_get() { curl -sf -H "Authorization: Bearer $token" "$api$1"; }
aether_is_idle() { aether_get '/api/v1/jobs?state=waiting,running&limit=1' | grep -q '"items":\[\]'; }
aether_run() {  # clients: sets submit_rate and finish_rate
  local begin submitted each=$((jobs / $1)) i accepted clients=()
  begin=$(now)
  for i in $(seq "$1"); do post_noop "$each" >"$work/codes.$i" & clients+=($!); done
  wait "${clients[@]}"
  submitted=$(now)
  wait_until_idle aether_is_idle
  submit_rate=$(rate $((each * $1)) "$begin" "$submitted")
  finish_rate=$(rate $((each * $1)) "$begin" "$(now)")
  accepted=$(cat "$work"/codes.* | grep -c '^20[12]$')
  rm "$work"/codes.*
  [ "$accepted" = $((each * $1)) ] || { echo "only $accepted submissions were accepted" >&2; exit 1; }
}
aether_latency() {
  local i begin
  for i in $(seq "$samples"); do
    begin=$(now)
    curl -sf -o /dev/null -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
      -d "{\"argv\":[\"/bin/sh\",\"-c\",\"date +%s.%N >$work/out/a$i\"],\"gpus\":0,\"time_limit_s\":60}" "$api/api/v1/jobs"
    wait_for 60 test -s "$work/out/a$i"
    elapsed_ms "$begin" "$(cat "$work/out/a$i")"
    sleep 0.2
  done
}
aether_latency >"$work/aether.ms"
aether_run 1; aether_submit_1=$submit_rate aether_finish_1=$finish_rate
aether_run 8; aether_submit_8=$submit_rate aether_finish_8=$finish_rate
aether_p50=$(percentile 0.5 <"$work/aether.ms") aether_p99=$(percentile 0.99 <"$work/aether.ms")
kill "${pids[0]}"; wait "${pids[0]}" 2>/dev/null || true; pids=()

# ---- Slurm ----

have_slurm=1
for program in munged slurmctld slurmd sbatch squeue; do command -v $program >/dev/null || have_slurm=0; done
start_slurm() {
  local node i; node=$(hostname -s)
  mkdir -m 0755 "$work/slurm" "$work/slurm/munge" "$work/slurm/state" "$work/slurm/spool"
  (umask 077; head -c 1024 /dev/urandom >"$work/slurm/munge.key")
  cat >"$work/slurm/slurm.conf" <<CONF
ClusterName=dispatch
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/slurm/munge/socket
StateSaveLocation=$work/slurm/state
SlurmdSpoolDir=$work/slurm/spool
SlurmctldPidFile=$work/slurm/slurmctld.pid
SlurmdPidFile=$work/slurm/slurmd.pid
SlurmctldLogFile=$work/slurm/slurmctld.log
SlurmdLogFile=$work/slurm/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
GresTypes=gpu
MaxJobCount=100000
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,default_queue_depth=1000
NodeName=$node NodeAddr=127.0.0.1 CPUs=64 Gres=gpu:64 State=UNKNOWN
PartitionName=all Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
  for i in {0..63}; do ln -s /dev/null "$work/slurm/gpu$i"; done
  echo "Name=gpu File=$work/slurm/gpu[0-63]" >"$work/slurm/gres.conf"
  export SLURM_CONF="$work/slurm/slurm.conf"
  munged -F -f --key-file="$work/slurm/munge.key" --socket="$work/slurm/munge/socket" --pid-file="$work/slurm/munge/pid" \
    --log-file="$work/slurm/munge.log" --seed-file="$work/slurm/munge.seed" >"$work/slurm/munge.out" 2>&1 &
  pids+=($!)
  wait_for 20 test -S "$work/slurm/munge/socket"
  slurmctld -D >"$work/slurm/slurmctld.out" 2>&1 & pids+=($!)
  slurmd -D -N "$node" >"$work/slurm/slurmd.out" 2>&1 & pids+=($!)
  wait_for 60 sh -c "sinfo -h -o %T | grep -q idle"
}
slurm_is_idle() { [ -z "$(squeue -h)" ]; }
submit_noop() { local i; for i in $(seq "$1"); do sbatch -Q -o /dev/null "$work/noop.sh" >/dev/null; done; }
slurm_run() {  # clients: sets submit_rate and finish_rate
  local begin submitted each=$((jobs / $1)) clients=() i
  begin=$(now)
  for i in $(seq "$1"); do submit_noop "$each" & clients+=($!); done
  wait "${clients[@]}"
  submitted=$(now)
  wait_until_idle slurm_is_idle
  submit_rate=$(rate $((each * $1)) "$begin" "$submitted")
  finish_rate=$(rate $((each * $1)) "$begin" "$(now)")
}
slurm_latency() {
  local i begin
  for i in $(seq "$samples"); do
    begin=$(now)
    sbatch -Q -o /dev/null --wrap "date +%s.%N >$work/out/s$i" >/dev/null
    wait_for 60 test -s "$work/out/s$i"
    elapsed_ms "$begin" "$(cat "$work/out/s$i")"
    sleep 0.2
  done
}
slurm_version=null slurm_p50=null slurm_p99=null slurm_submit_1=null slurm_finish_1=null slurm_submit_8=null slurm_finish_8=null
if [ $have_slurm = 1 ]; then
  start_slurm
  slurm_version=$(slurmd -V)
  printf '#!/bin/sh\nexec /bin/true\n' >"$work/noop.sh"
  slurm_latency >"$work/slurm.ms"
  slurm_run 1; slurm_submit_1=$submit_rate slurm_finish_1=$finish_rate
  slurm_run 8; slurm_submit_8=$submit_rate slurm_finish_8=$finish_rate
  slurm_p50=$(percentile 0.5 <"$work/slurm.ms") slurm_p99=$(percentile 0.99 <"$work/slurm.ms")
else
  echo "Slurm is not installed; for a baseline: apt-get install slurmctld slurmd slurm-client munge" >&2
fi

ratio() { [ "$1" = null ] || [ "$2" = null ] && echo null || awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", a / b }'; }
row() { printf '%-44s %10s %10s %10s\n' "$1" "$2" "${3/null/-}" "${4/null/-}"; }
if [ "$output" = json ]; then
  jq -n --arg slurm "$slurm_version" --argjson a "[$aether_p50,$aether_p99,$aether_submit_1,$aether_finish_1,$aether_submit_8,$aether_finish_8]" \
    --argjson s "[$slurm_p50,$slurm_p99,$slurm_submit_1,$slurm_finish_1,$slurm_submit_8,$slurm_finish_8]" --argjson jobs "$jobs" '
    def named(v): {submit_to_exec_p50_ms: v[0], submit_to_exec_p99_ms: v[1], submissions_per_s_1_client: v[2],
                   jobs_per_s_1_client: v[3], submissions_per_s_8_clients: v[4], jobs_per_s_8_clients: v[5]};
    {jobs: $jobs, slurm_version: (if $slurm == "null" then null else $slurm end), aether: named($a), slurm: named($s)}'
else
  echo "$jobs no-op jobs, $samples latency samples, load $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores, ${slurm_version/null/no Slurm}"
  row "" Aether Slurm ratio
  row "submit to exec, idle, p50 [ms]" "$aether_p50" "$slurm_p50" "$(ratio "$slurm_p50" "$aether_p50")"
  row "submit to exec, idle, p99 [ms]" "$aether_p99" "$slurm_p99" "$(ratio "$slurm_p99" "$aether_p99")"
  row "submissions/s, 1 client" "$aether_submit_1" "$slurm_submit_1" "$(ratio "$aether_submit_1" "$slurm_submit_1")"
  row "submissions/s, 8 clients" "$aether_submit_8" "$slurm_submit_8" "$(ratio "$aether_submit_8" "$slurm_submit_8")"
  row "jobs/s submitted to finished, 1 client" "$aether_finish_1" "$slurm_finish_1" "$(ratio "$aether_finish_1" "$slurm_finish_1")"
  row "jobs/s submitted to finished, 8 clients" "$aether_finish_8" "$slurm_finish_8" "$(ratio "$aether_finish_8" "$slurm_finish_8")"
fi
