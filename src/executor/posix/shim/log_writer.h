#pragma once
// One captured stream as numbered segments of equal size: segment k holds the bytes [k*size, (k+1)*size). The first and
// the newest are kept, the others removed, so offsets never move and a hole is a missing file.
#include <cstddef>
#include <cstdint>
#include <string>

namespace aether::executor {

class LogWriter {
 public:
  // `path_prefix` is "log/stdout"; `segments` >= 2.
  LogWriter(std::string path_prefix, std::int64_t segment_bytes, int segments);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Never fails: what the disk refuses is counted, and its place in the stream stays.
  void append(const char* data, std::size_t size);
  std::uint64_t total_bytes() const { return total_; }
  // Refused by the disk, or removed with a segment.
  std::uint64_t dropped_bytes() const { return dropped_; }

 private:
  std::string path_of(std::uint64_t segment) const;
  void open_segment(std::uint64_t segment);
  void write_at(const char* data, std::size_t size, std::uint64_t offset_in_segment);

  const std::string path_prefix_;
  const std::uint64_t segment_bytes_;
  const std::uint64_t segments_;
  int fd_ = -1;
  std::uint64_t segment_ = UINT64_MAX;
  std::uint64_t total_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace aether::executor
