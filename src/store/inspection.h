#pragma once
// What `aether doctor` says about a store, and what a backup holds.
#include <cstdint>
#include <string>

namespace aether::store {

struct Finding {
  enum class Verdict { kOk, kWarn, kFail };
  std::string name;
  Verdict verdict = Verdict::kOk;
  std::string detail;
  std::string next;  // the next step; empty when there is none to take
};

struct BackupSummary {
  std::string path;
  std::string moved_aside;  // of a restore: where the data from before are; empty when there were none
  int jobs_schema = 0, telemetry_schema = 0;
  std::int64_t jobs = 0, audit_lines = 0, samples = 0, bytes = 0;
};

}  // namespace aether::store
