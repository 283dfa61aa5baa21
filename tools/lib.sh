# What the four scripts at the root share. Sourced from the repository's root, never run.
# Every function can be run again without harm; nothing here ever removes a package.

say() { printf '%s%s%s\n' "$bold" "aether: $*" "$plain"; }
fail() { printf 'aether: %s\n' "$*" >&2; exit 1; }
bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\033[1m' plain=$'\033[0m'; fi

ROOT=$PWD
LOGS=$ROOT/build/logs
mkdir -p "$LOGS"

state_dir() {
  if [ -n "${AETHER_STATE_DIR:-}" ]; then echo "$AETHER_STATE_DIR"
  elif [ "$(id -u)" = 0 ]; then echo /var/lib/aether
  else echo "${XDG_STATE_HOME:-$HOME/.local/state}/aether"; fi
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "'$*' needs root, and there is no sudo; run it as root once, then this script again"; fi
}

# install_packages GROUP...: the lists in tools/packages/; only what is missing is installed.
install_packages() {
  local group missing=() package
  for group in "$@"; do
    while read -r package; do
      case "$package" in ''|'#'*) continue ;; esac
      # node and npm may come from elsewhere than the distribution
      if [ "$package" = nodejs ] && command -v node >/dev/null; then continue; fi
      if [ "$package" = npm ] && command -v npm >/dev/null; then continue; fi
      dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done < "tools/packages/$group.txt"
  done
  [ "${#missing[@]}" -eq 0 ] && return 0
  command -v apt-get >/dev/null || fail "these Debian packages are needed: ${missing[*]}"
  say "installing ${#missing[@]} packages (log: build/logs/install.log)"
  as_root apt-get update -qq >>"$LOGS/install.log" 2>&1 || fail "apt-get update failed; see build/logs/install.log"
  # --no-remove: a package that somebody uses is never taken away for ours.
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-remove --no-install-recommends "${missing[@]}" \
    >>"$LOGS/install.log" 2>&1 || { tail -5 "$LOGS/install.log" >&2; fail "apt-get install failed; see build/logs/install.log"; }
}

# Jobs never run as root: as root, they run as this account.
ensure_job_account() {
  [ "$(id -u)" = 0 ] || return 0
  id aether-job >/dev/null 2>&1 && return 0
  say "creating the system account aether-job, as which jobs run"
  useradd --system --no-create-home --shell /usr/sbin/nologin aether-job
}

# As root every start needs the account: it goes into the settings, unless somebody has settings already.
configure_job_account() {
  [ "$(id -u)" = 0 ] || return 0
  if [ -e /etc/aether/aether.toml ]; then
    grep -q '^ *run_as' /etc/aether/aether.toml || say "set executor.run_as in /etc/aether/aether.toml, for example to aether-job"
    return 0
  fi
  mkdir -p /etc/aether
  printf '# Settings of Aether; `aether config show` lists them all.\n[executor]\nrun_as = "aether-job"\n' >/etc/aether/aether.toml
}

# build_programs PRESET [TARGET...]: everything of the preset unless targets are named; of release, what is installed.
build_programs() {
  local preset=$1 targets=(); shift
  if [ $# -gt 0 ]; then targets=(--target "$@")
  elif [ "$preset" = release ]; then targets=(--target aether aether-shim); fi
  say "building ($preset; log: build/logs/build.log)"
  cmake --preset "$preset" >"$LOGS/build.log" 2>&1 || { tail -20 "$LOGS/build.log" >&2; fail "configuring failed"; }
  if [ -t 1 ]; then
    cmake --build --preset "$preset" "${targets[@]}" 2>&1 | tee -a "$LOGS/build.log" |
      sed -un 's|^\[\([0-9]*\)/\([0-9]*\)\].*|\1 \2|p' | progress
  else
    cmake --build --preset "$preset" "${targets[@]}" >>"$LOGS/build.log" 2>&1 || true
  fi
  cmake --build --preset "$preset" "${targets[@]}" >>"$LOGS/build.log" 2>&1 ||
    { grep -E 'error|FAILED' "$LOGS/build.log" | head -20 >&2; fail "the build failed; see build/logs/build.log"; }
}

# Reads "done total" lines, draws one bar.
progress() {
  local done total width=40
  while read -r done total; do
    local filled=$((done * width / total))
    printf '\r  [%-*s] %d/%d ' "$width" "$(printf '%*s' "$filled" '' | tr ' ' '#')" "$done" "$total"
  done
  printf '\r%*s\r' 70 ''
}

build_dashboard() {
  local stamp=build/dashboard.stamp
  if [ -f "$stamp" ] && [ -f dashboard/out/assets.json ] &&
     [ -z "$(find dashboard -path dashboard/node_modules -prune -o -path dashboard/.next -prune -o -path dashboard/out -prune -o -newer "$stamp" -type f -print -quit)" ]; then
    return 0
  fi
  say "building the dashboard (log: build/logs/dashboard.log)"
  ( cd dashboard
    export NEXT_TELEMETRY_DISABLED=1 NEXT_IGNORE_INCORRECT_LOCKFILE=1
    if [ ! -d node_modules ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
      npm ci --no-audit --no-fund
    fi
    npm run build ) >"$LOGS/dashboard.log" 2>&1 || { tail -20 "$LOGS/dashboard.log" >&2; fail "the dashboard's build failed"; }
  mkdir -p build && touch "$stamp"
}

test_dashboard() {
  say "testing the dashboard"
  ( cd dashboard && npm run typecheck && npm test ) >"$LOGS/dashboard-test.log" 2>&1 ||
    { tail -40 "$LOGS/dashboard-test.log" >&2; fail "the dashboard's tests failed; see build/logs/dashboard-test.log"; }
  grep -E 'Tests +|Test Files' "$LOGS/dashboard-test.log" | sed 's/^/  dashboard: /' || true
}

run_ctest() {
  local preset=$1 quick=$2 exclude=()
  if [ "$quick" = yes ]; then exclude=(-LE system); fi
  local status=0
  ctest --preset "$preset" --output-on-failure -j2 "${exclude[@]}" | tee "$LOGS/ctest.log" || status=$?
  # ctest counts programs; a test skipped inside one that passed shows only here.
  sed -n 's/^\[  SKIPPED \] \([^ ]*\) (.*/  skipped: \1/p' "build/$preset/Testing/Temporary/LastTest.log" | sort -u || true
  grep 'tests passed' "$LOGS/ctest.log" || true
  return "$status"
}

install_programs() {
  local bin=$HOME/.local/bin
  [ "$(id -u)" = 0 ] && bin=/usr/local/bin
  mkdir -p "$bin"
  local program
  for program in aether aether-agent aether-nvml aether-shim; do ln -sfn "$ROOT/build/release/bin/$program" "$bin/$program"; done
  case ":$PATH:" in *":$bin:"*) ;; *) say "add $bin to your PATH to call aether from anywhere" ;; esac
}

# ---- start and stop ----

pid_file() { echo "$(state_dir)/run/$1.pid"; }

# alive NAME: the pid of a service that we started and that still is that program.
alive() {
  local file pid
  file=$(pid_file "$1")
  [ -f "$file" ] || return 1
  pid=$(cat "$file")
  [ -d "/proc/$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q "$2"
}

# launch NAME PATTERN COMMAND...: in the background, its own session, one log per service.
launch() {
  local name=$1 pattern=$2 log; shift 2
  mkdir -p "$(state_dir)/run" "$(state_dir)/log"
  chmod 700 "$(state_dir)" 2>/dev/null || true
  log=$(state_dir)/log/$name.log
  if alive "$name" "$pattern"; then say "$name already runs"; return 0; fi
  setsid "$@" >>"$log" 2>&1 </dev/null &
  echo $! >"$(pid_file "$name")"
}

# wait_ready NAME URL: until the service answers.
wait_ready() {
  local name=$1 url=$2 tries=0
  until curl -fsS -o /dev/null --max-time 2 "$url" 2>/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -gt 150 ] || ! [ -d "/proc/$(cat "$(pid_file "$name")")" ]; then
      tail -5 "$(state_dir)/log/$name.log" >&2
      fail "$name did not start; see $(state_dir)/log/$name.log"
    fi
    sleep 0.2
  done
}

started_mode() { cat "$(state_dir)/run/mode" 2>/dev/null || true; }

start_aether() {
  local mode=$1 aether=$ROOT/build/release/bin/aether
  mkdir -p "$(state_dir)/run"; echo "$mode" >"$(state_dir)/run/mode"
  if [ "$mode" = embedded ]; then
    launch aether "aether up" "$aether" up
    wait_ready aether http://127.0.0.1:8080/readyz
  else
    start_cluster "$aether"
  fi
  say "dashboard http://127.0.0.1:3000 · API http://127.0.0.1:8080 · logs in $(state_dir)/log"
  if [ -t 1 ]; then "$aether" token; fi
}

# free_port FIRST: the first port from there on that nobody listens on.
free_port() {
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}

secret() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

# nats-server and PostgreSQL of our own: loopback only, with passwords made here, everything under the state directory.
start_cluster() {
  local aether=$1 state
  state=$(state_dir)
  start_nats
  start_postgres
  NATS_URL=$(cat "$state/run/nats.url") DATABASE_URL=$(cat "$state/run/postgres.url") AI_CORE_URL=http://127.0.0.1:8000
  export NATS_URL DATABASE_URL AI_CORE_URL
  launch ai-core "aether ai-core" "$aether" ai-core
  wait_ready ai-core http://127.0.0.1:8000/healthz
  launch orchestrator "aether orchestrator" "$aether" orchestrator
  wait_ready orchestrator http://127.0.0.1:8080/readyz
  launch agent "aether agent" "$aether" agent
  wait_ready agent http://127.0.0.1:9400/healthz
}

# An accounts block and nothing beside it: with an authorization block as well, this version lets strangers in.
start_nats() {
  local state port password
  state=$(state_dir)
  mkdir -p "$state/run" "$state/log"
  alive nats nats-server && return 0
  if [ ! -f "$state/run/nats.conf" ]; then
    port=$(free_port 4222) password=$(secret)
    ( umask 077
      sed -e "s/@PORT@/$port/" -e "s/@PASSWORD@/$password/" deploy/nats/nats.conf.in >"$state/run/nats.conf"
      echo "nats://aether:$password@127.0.0.1:$port" >"$state/run/nats.url" )
  fi
  launch nats nats-server nats-server -c "$state/run/nats.conf"
}

# Nothing where PostgreSQL is not installed.
postgres_bin() { { ls -d /usr/lib/postgresql/*/bin 2>/dev/null || true; } | sort -V | tail -1; }

# PostgreSQL refuses to run as root: then it runs as the account of the distribution's package.
as_postgres() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --init-groups "$@"; else "$@"; fi
}

start_postgres() {
  local state data bin port password
  state=$(state_dir) bin=$(postgres_bin)
  [ -n "$bin" ] || fail "PostgreSQL is not installed"
  data=$state/postgres
  if [ "$(id -u)" = 0 ]; then data=/var/lib/aether-postgres; fi
  echo "$data" >"$state/run/postgres.data"
  if [ ! -s "$data/PG_VERSION" ]; then
    port=$(free_port 5433) password=$(secret)
    mkdir -p "$data"; chmod 700 "$data"
    ( umask 077
      printf '%s\n' "$password" >"$state/run/postgres.password"
      echo "postgres://aether:$password@127.0.0.1:$port/aether" >"$state/run/postgres.url"
      echo "$port" >"$state/run/postgres.port" )
    if [ "$(id -u)" = 0 ]; then
      chown postgres: "$data"
      install -o postgres -m 600 "$state/run/postgres.password" /var/lib/aether-postgres.password
    else
      cp "$state/run/postgres.password" "$data.password"
    fi
    ( cd / && as_postgres "$bin/initdb" -D "$data" -U aether --auth=scram-sha-256 --pwfile="$data.password" --encoding=UTF8 ) \
      >>"$state/log/postgres.log" 2>&1 || fail "initdb failed; see $state/log/postgres.log"
    rm -f "$data.password"
  fi
  port=$(cat "$state/run/postgres.port")
  if ! ( cd / && as_postgres "$bin/pg_ctl" -D "$data" status ) >/dev/null 2>&1; then
    ( cd / && as_postgres "$bin/pg_ctl" -D "$data" -w -s -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=" start ) \
      </dev/null >>"$state/log/postgres.log" 2>&1 || fail "PostgreSQL did not start; see $state/log/postgres.log"
  fi
  export PGPASSWORD; PGPASSWORD=$(cat "$state/run/postgres.password")
  "$bin/psql" -h 127.0.0.1 -p "$port" -U aether -d postgres -tAc "SELECT 1 FROM pg_database WHERE datname='aether'" | grep -q 1 ||
    "$bin/createdb" -h 127.0.0.1 -p "$port" -U aether aether
  unset PGPASSWORD
}

end_service() {
  local name=$1 pattern=$2 pid tries=0
  alive "$name" "$pattern" || { rm -f "$(pid_file "$name")"; return 0; }
  pid=$(cat "$(pid_file "$name")")
  kill -TERM "$pid"
  while [ -d "/proc/$pid" ] && [ "$tries" -lt 150 ]; do sleep 0.1; tries=$((tries + 1)); done
  if [ -d "/proc/$pid" ]; then kill -KILL "$pid"; fi
  rm -f "$(pid_file "$name")"
  say "$name stopped"
}

stop_aether() {
  local state bin
  state=$(state_dir) bin=$(postgres_bin)
  end_service aether "aether up"
  end_service agent "aether agent"
  end_service orchestrator "aether orchestrator"
  end_service ai-core "aether ai-core"
  end_service nats nats-server
  if [ -f "$state/run/postgres.data" ]; then
    ( cd / && as_postgres "$bin/pg_ctl" -D "$(cat "$state/run/postgres.data")" -w -s -m fast stop ) >>"$state/log/postgres.log" 2>&1 || true
    rm -f "$state/run/postgres.data"
    say "postgres stopped"
  fi
}

cancel_jobs() {
  local aether=$ROOT/build/release/bin/aether job
  for job in $("$aether" queue --no-headers -o name); do "$aether" cancel "$job" || true; done
}

first_job() {
  say "a first job:"
  "$ROOT/build/release/bin/aether" run --name first-job --time 2m -- /bin/sh -c 'echo "hello from $CUDA_VISIBLE_DEVICES"'
}
