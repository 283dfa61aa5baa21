#!/bin/bash
# Stops Aether. Running jobs go on and are found again at the next start; --jobs ends them first.
set -euo pipefail
cd "$(dirname "$0")"
. tools/lib.sh

case "${1:-}" in
  '') ;;
  --jobs) cancel_jobs ;;
  *) fail "unknown argument '$1'; the only one is --jobs" ;;
esac
stop_aether
