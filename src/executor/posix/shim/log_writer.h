#pragma once
// One captured stream as numbered segments of equal size: segment k holds the bytes [k*size, (k+1)*size). Offsets never
// move: what is not kept is a missing file or an entry in the list of gaps.
#include <cstddef>
#include <cstdint>
#include <string>

#include "executor/posix/log_gaps.h"

namespace aether::executor {

enum class LogRoom {
  kRotate,   // the first and the newest segments are kept; what the disk refuses is counted, and its place stays
  kKeepAll,  // nothing is dropped: append() takes no more when the segments are full or the disk refuses
};

class LogWriter {
 public:
  // `path_prefix` is "log/stdout"; `segments` >= 2. Starts an empty stream.
  LogWriter(std::string path_prefix, std::int64_t segment_bytes, int segments, LogRoom room = LogRoom::kRotate);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Goes on behind the bytes that another writer, which is gone, has left. The bytes it had dropped are not counted again.
  void continue_stream();

  // The bytes that were taken, stored or counted: all of them with kRotate.
  std::size_t append(const char* data, std::size_t size);
  // Gives `size` bytes up, whatever the room: they are counted, and their place stays.
  void drop(std::size_t size);
  std::uint64_t total_bytes() const { return total_; }
  // Refused by the disk, removed with a segment, or given up.
  std::uint64_t dropped_bytes() const { return dropped_; }

 private:
  std::string path_of(std::uint64_t segment) const;
  void enter_segment(std::uint64_t segment);
  void open_segment(int more_flags);
  void remove_segment(std::uint64_t segment);
  std::size_t write_at(const char* data, std::size_t size, std::uint64_t offset_in_segment);
  void store_gaps() const;

  const std::string path_prefix_, gaps_path_;
  const std::uint64_t segment_bytes_;
  const std::uint64_t segments_;
  const LogRoom room_;
  int fd_ = -1;
  std::uint64_t segment_ = UINT64_MAX;
  std::uint64_t total_ = 0;
  std::uint64_t dropped_ = 0;
  LogGaps gaps_;
};

}  // namespace aether::executor
