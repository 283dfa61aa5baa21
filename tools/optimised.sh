#!/bin/bash
# optimised.sh PROGRAM ARGUMENT...: runs a program of the release build. AETHER_SIM_FIRST moves the first seed.
# Without the program it says so and is skipped; under CI that is a failure.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
program=$root/build/release/bin/$1
shift
if [ ! -x "$program" ]; then
  echo "skipped: $program is not there; build it with: cmake --preset release && cmake --build --preset release --target ${program##*/}"
  if [ -n "${CI:-}" ]; then exit 1; fi
  exit 77
fi
exec "$program" --first "${AETHER_SIM_FIRST:-1}" "$@"
