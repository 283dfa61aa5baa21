#!/bin/bash
# Installs what Aether needs, builds it, starts it, and runs a first job.
#   ./setup.sh             everything in one process: real GPUs where there are some, else simulated ones
#   ./setup.sh --cluster   nats-server and PostgreSQL from the distribution; agent, orchestrator and AI core as processes
#   ./setup.sh --no-start  install and build only
set -euo pipefail
cd "$(dirname "$0")"
. tools/lib.sh

usage() { sed -n '2,5p' "$0" | sed 's/^# \{0,1\}//'; }
mode=embedded start=yes
for argument in "$@"; do
  case "$argument" in
    --cluster) mode=cluster ;;
    --no-start) start=no ;;
    -h|--help) usage; exit 0 ;;
    *) usage >&2; fail "unknown argument '$argument'" ;;
  esac
done

began=$SECONDS
install_packages build dashboard
[ "$mode" = embedded ] || install_packages cluster
ensure_job_account
configure_job_account
build_programs release
build_dashboard
install_programs
if [ "$start" = yes ]; then
  start_aether "$mode"
  first_job
fi
say "ready after $((SECONDS - began)) s. Next: aether gpus · aether submit -- CMD · aether top · ./stop.sh"
