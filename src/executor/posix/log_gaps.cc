#include "executor/posix/log_gaps.h"

#include <algorithm>
#include <cstdio>

#include "executor/posix/shim_protocol.h"

namespace aether::executor {

void LogGaps::add(std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  if (count_ > 0 && (gaps_[count_ - 1].end >= begin || count_ == gaps_.size())) {
    gaps_[count_ - 1].end = std::max(gaps_[count_ - 1].end, end);
    return;
  }
  gaps_[count_++] = {begin, end};
}

std::uint64_t LogGaps::missing_in(std::uint64_t begin, std::uint64_t end) const {
  std::uint64_t missing = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    const std::uint64_t first = std::max(begin, gaps_[i].begin), last = std::min(end, gaps_[i].end);
    if (first < last) missing += last - first;
  }
  return missing;
}

void LogGaps::remove_within(std::uint64_t begin, std::uint64_t end) {
  const auto last = std::remove_if(gaps_.begin(), gaps_.begin() + static_cast<std::ptrdiff_t>(count_),
                                   [&](const LogGap& gap) { return gap.begin >= begin && gap.end <= end; });
  count_ = static_cast<std::size_t>(last - gaps_.begin());
}

std::string LogGaps::encode() const {
  std::string text;
  for (std::size_t i = 0; i < count_; ++i)
    text += std::to_string(gaps_[i].begin) + " " + std::to_string(gaps_[i].end) + "\n";
  text.resize(kRecordBytes, ' ');
  return text;
}

LogGaps LogGaps::decode(std::string_view text) {
  LogGaps gaps;
  while (gaps.count_ < kMaxLogGaps) {
    const std::size_t length = text.find('\n');
    if (length == std::string_view::npos) break;
    unsigned long long begin = 0, end = 0;
    const bool whole = std::sscanf(std::string(text.substr(0, length)).c_str(), "%llu %llu", &begin, &end) == 2;
    if (!whole || begin >= end || begin < gaps.end()) break;
    gaps.add(begin, end);
    text.remove_prefix(length + 1);
  }
  return gaps;
}

std::string gaps_path_of(const std::string& path_prefix) {
  const std::size_t slash = path_prefix.rfind('/');
  const std::size_t name = slash == std::string::npos ? 0 : slash + 1;
  return path_prefix.substr(0, name) + "gaps." + path_prefix.substr(name);
}

}  // namespace aether::executor
