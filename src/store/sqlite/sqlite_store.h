#pragma once
// Store on SQLite, in one private directory, for one process:
//   jobs.db       synchronous=EXTRA: a commit is on disk when it returns.
//   telemetry.db  synchronous=NORMAL: a power cut may take the last samples. A file of its own, so that the
//   rate of
//                 telemetry never delays a commit of jobs.
//   writer.lock   flock of the process that has the store open.
// Each file has one writing connection and up to four reading ones.
#include <memory>
#include <string>

#include "store/retention.h"
#include "store/store.h"

namespace aether {

class SqliteStore : public Store {
 public:
  struct Options {
    std::string directory;  // made when missing, mode 0700
    store::Retention retention = {};
  };
  // kConflict: another process has it open. kCorrupt: the check after an unclean stop found damage.
  // kUnsupported: a newer Aether wrote it. Before a schema step the old file is copied to
  // jobs.db.backup-v<version> beside it.
  static Result<std::unique_ptr<Store>> open(Options options);
};

}  // namespace aether
