#pragma once
// Keeps what could not be delivered, oldest first, until it can. Bounded; what no longer fits pushes out the oldest, and
// every record pushed out is counted, so that appended = taken + dropped + waiting always holds.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace aether {

struct SpoolOptions {
  // Segment files of this folder, which outlive the process; empty: in memory.
  std::string directory;
  std::uint64_t max_bytes = 512u << 20;    // on disk; at least two segments
  std::uint64_t segment_bytes = 1u << 20;  // what is pushed out at once
  std::size_t max_records = 20000;         // in memory
};

struct SpoolCounters {
  std::uint64_t waiting = 0;   // records
  std::uint64_t bytes = 0;     // that they take
  std::uint64_t appended = 0;  // since open()
  std::uint64_t dropped = 0;   // pushed out, or not stored because the disk refused; on disk also by earlier processes
  std::uint64_t corrupt = 0;   // ends of segments that a crash of the machine left unreadable
};

// One owner thread. After a crash of the process everything appended is there again, and so is at most one segment of
// what was taken already: a receiver must bear repetition.
class Spool {
 public:
  struct Record {
    std::uint32_t key = 0;  // the appender's
    std::string payload;
  };

  static Result<std::unique_ptr<Spool>> open(SpoolOptions options);
  virtual ~Spool() = default;

  // Never fails: what can't be stored is counted as dropped.
  virtual void append(std::uint32_t key, std::string_view payload) = 0;
  // The oldest; nothing when empty. Valid until pop() or append().
  virtual const Record* front() = 0;
  // Takes front() away. Only after front() returned one.
  virtual void pop() = 0;
  virtual SpoolCounters counters() const = 0;
};

}  // namespace aether
