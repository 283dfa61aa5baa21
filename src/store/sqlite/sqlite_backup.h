#pragma once
// Copies of a SQLite store's two files, made while it is in use, and the way back. A backup is a directory with jobs.db,
// telemetry.db and SHA256SUMS (`sha256sum -c` reads it); it holds neither the token nor the key that signs commands.
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "store/inspection.h"

namespace aether::store {

// Each file as of one moment; the two moments differ by the time the first takes. The copies are checked as
// verify_sqlite_backup does before `target`, which must not exist, gets its name. Nobody who writes is blocked.
Result<BackupSummary> back_up_sqlite(const std::string& store_directory, const std::string& target);

// kCorrupt: a sum, the structure of a file or a seal of the audit log is wrong. kUnsupported: a newer Aether wrote it.
Result<BackupSummary> verify_sqlite_backup(const std::string& backup);

// Verifies, then puts the backup in the place of the store, which is moved to `<store_directory>.before-<time>`.
// kConflict while an orchestrator holds the store; whatever fails, the store is as it was or as it will be.
Result<BackupSummary> restore_sqlite(const std::string& backup, const std::string& store_directory, Time now);

}  // namespace aether::store
