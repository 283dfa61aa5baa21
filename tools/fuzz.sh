#!/bin/bash
# Runs every fuzz target of build/fuzz for a while, two at a time, and says what was found.
#   tools/fuzz.sh [SECONDS=60] [TARGET...]
# What a run finds grows build/fuzz/found/<target>; the seeds in fuzz/corpus stay as they are. A crash leaves its input
# in build/fuzz/crashes and the command that replays it on the screen, and the exit code is 1.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

seconds=${1:-60}; shift || true
case "$seconds" in ''|*[!0-9]*) fail "the first argument is a number of seconds" ;; esac
programs=build/fuzz/fuzz
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for list in "$programs"/*.corpus; do targets+=("$(basename "$list" .corpus)"); done
fi
mkdir -p build/fuzz/crashes "$LOGS/fuzz"

# A leak is a finding too; a hang is one after 20 s; sockets and threads are the server's.
fuzz_one() {
  local target=$1 found=build/fuzz/found/$1
  mkdir -p "$found"
  # shellcheck disable=SC2046 # the file holds one line of folders
  "$programs/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -max_len=8192 -print_final_stats=1 \
    -dict=fuzz/words.dict -artifact_prefix="build/fuzz/crashes/$target-" "$found" $(cat "$programs/$target.corpus") \
    >"$LOGS/fuzz/$target.log" 2>&1
}

value() { sed -n "s/^stat::$2: *//p" "$LOGS/fuzz/$1.log" | tail -1; }
coverage() { sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$LOGS/fuzz/$1.log" | tail -1; }

declare -A running=() result=()
collect() {
  local pid status=0
  wait -n -p pid || status=$?
  result[${running[$pid]}]=$status
  unset "running[$pid]"
  say "${#result[@]} of ${#targets[@]} fuzz targets done"
}

say "fuzzing ${#targets[@]} targets, $seconds s each, two at a time (logs: build/logs/fuzz)"
for target in "${targets[@]}"; do
  [ -x "$programs/$target" ] || fail "there is no fuzz target '$target' in $programs"
  while [ ${#running[@]} -ge 2 ]; do collect; done
  fuzz_one "$target" & running[$!]=$target
done
while [ ${#running[@]} -gt 0 ]; do collect; done

status=0
printf '%-44s %12s %10s  %s\n' target inputs edges result
for target in "${targets[@]}"; do
  verdict=clean
  if [ "${result[$target]}" != 0 ]; then verdict=CRASH status=1; fi
  printf '%-44s %12s %10s  %s\n' "$target" "$(value "$target" number_of_executed_units)" "$(coverage "$target")" "$verdict"
done
for target in "${targets[@]}"; do
  [ "${result[$target]}" = 0 ] && continue
  input=$(sed -n 's/.*Test unit written to //p' "$LOGS/fuzz/$target.log" | tail -1)
  grep -m1 -E 'ERROR:|runtime error|bug:|SUMMARY' "$LOGS/fuzz/$target.log" | sed "s/^/  /" || true
  if [ -n "$input" ]; then
    printf '  replay: %s %s\n' "$programs/$target" "$input"
  else
    printf '  see build/logs/fuzz/%s.log\n' "$target"
  fi
done
exit "$status"
