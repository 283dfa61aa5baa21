#!/bin/bash
# Builds what has changed and starts Aether again. Running jobs are not touched.
set -euo pipefail
cd "$(dirname "$0")"
. tools/lib.sh

mode=$(started_mode)
stop_aether
build_programs release
build_dashboard
install_programs
start_aether "${mode:-embedded}"
