# What the benches over real processes share. Sourced, never run; `work` is their folder, `pids` what finish() ends.
pids=()
make_work() { work=$(mktemp -d "/tmp/aether-$1-XXXXXX"); trap finish EXIT; }

finish() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do
    for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
}

wait_for() {  # seconds, command
  local until=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt "$until" ] || { echo "waited too long for: $*" >&2; exit 1; }
    sleep 0.05
  done
}

ready_line() { grep -m1 '"event":"ready"' "$1"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
