#!/bin/bash
# Installs what the tests need, builds with AddressSanitizer and UndefinedBehaviorSanitizer, and runs every test.
#   ./test.sh            everything
#   ./test.sh --quick    without whole-system and browser tests
#   ./test.sh --tsan     under ThreadSanitizer instead
#   ./test.sh --fuzz [SECONDS=60]   every decoder under libFuzzer, each for so long
set -euo pipefail
cd "$(dirname "$0")"
. tools/lib.sh

preset=dev quick=no fuzz_seconds=60
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) quick=yes ;;
    --tsan) preset=tsan ;;
    --fuzz)
      preset=fuzz
      case "${2:-}" in ''|*[!0-9]*) ;; *) fuzz_seconds=$2; shift ;; esac ;;
    -h|--help) sed -n '2,6p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) fail "unknown argument '$1'; see ./test.sh --help" ;;
  esac
  shift
done

if [ "$preset" = fuzz ]; then
  install_packages build fuzz
  build_programs fuzz
  exec tools/fuzz.sh "$fuzz_seconds"
fi

install_packages build dashboard cluster test
ensure_job_account
build_dashboard
build_programs "$preset"
if [ "$quick" = no ]; then build_programs release aether-sim aether-sim-mutants; fi  # 5,000 seeds take optimised code
test_dashboard
run_ctest "$preset" "$quick"
