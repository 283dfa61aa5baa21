#!/bin/bash
# Installs what the tests need, builds with AddressSanitizer and UndefinedBehaviorSanitizer, and runs every test.
#   ./test.sh            everything
#   ./test.sh --quick    without whole-system and browser tests
#   ./test.sh --tsan     under ThreadSanitizer instead
set -euo pipefail
cd "$(dirname "$0")"
. tools/lib.sh

preset=dev quick=no
for argument in "$@"; do
  case "$argument" in
    --quick) quick=yes ;;
    --tsan) preset=tsan ;;
    -h|--help) sed -n '2,5p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) fail "unknown argument '$argument'; see ./test.sh --help" ;;
  esac
done

install_packages build dashboard cluster test
ensure_job_account
build_dashboard
build_programs "$preset"
test_dashboard
run_ctest "$preset" "$quick"
