#pragma once
// The holes of one captured stream: what the disk refused. A small fixed record, preallocated before the start, so that
// a full disk can't keep it from being written.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace aether::executor {

inline constexpr std::size_t kMaxLogGaps = 32;

struct LogGap {
  std::uint64_t begin = 0, end = 0;
};

class LogGaps {
 public:
  // Gaps are added in the order of the stream. Beyond kMaxLogGaps the newest one grows over what lies between: too much is
  // called missing then, never too little.
  void add(std::uint64_t begin, std::uint64_t end);
  // The bytes of [begin, end) that lie in gaps.
  std::uint64_t missing_in(std::uint64_t begin, std::uint64_t end) const;
  // Forgets gaps inside [begin, end), of which nothing is kept any more.
  void remove_within(std::uint64_t begin, std::uint64_t end);

  std::size_t count() const { return count_; }
  const LogGap& at(std::size_t index) const { return gaps_[index]; }
  // Where the stream ends when its end is a gap; 0 otherwise.
  std::uint64_t end() const { return count_ > 0 ? gaps_[count_ - 1].end : 0; }

  // kRecordBytes of text.
  std::string encode() const;
  // Nothing but whole lines in order is taken.
  static LogGaps decode(std::string_view text);

 private:
  std::array<LogGap, kMaxLogGaps> gaps_ = {};
  std::size_t count_ = 0;
};

// "log/stdout" -> "log/gaps.stdout".
std::string gaps_path_of(const std::string& path_prefix);

}  // namespace aether::executor
