#include "executor/posix/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <map>

namespace aether::executor {
namespace {

// Segment number -> bytes in it, for the segments that are there.
std::map<std::int64_t, std::int64_t> find_segments(const std::string& path_prefix) {
  const std::filesystem::path prefix(path_prefix);
  const std::string stem = prefix.filename().string() + ".";
  std::map<std::int64_t, std::int64_t> segments;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(prefix.parent_path(), error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(stem)) continue;
    struct stat info {};
    if (stat(entry.path().c_str(), &info) == 0)
      segments[std::strtoll(name.c_str() + stem.size(), nullptr, 10)] = info.st_size;
  }
  return segments;
}

std::string read_part(const std::string& path, std::int64_t offset, std::int64_t size) {
  std::string data(static_cast<std::size_t>(size), '\0');
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return {};
  std::size_t filled = 0;
  while (filled < data.size()) {
    const ssize_t got = pread(fd, data.data() + filled, data.size() - filled,
                              static_cast<off_t>(offset + static_cast<std::int64_t>(filled)));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  close(fd);
  data.resize(filled);
  return data;
}

}  // namespace

Result<LogChunk> read_log_segments(const std::string& path_prefix, std::int64_t segment_bytes, std::int64_t offset,
                                   std::int64_t limit, bool ended) {
  const auto segments = find_segments(path_prefix);
  LogChunk chunk;
  if (!segments.empty()) chunk.size = segments.rbegin()->first * segment_bytes + segments.rbegin()->second;
  const std::int64_t first = offset >= 0 ? std::min(offset, chunk.size) : std::max<std::int64_t>(0, chunk.size + offset);
  const std::int64_t wanted = std::clamp<std::int64_t>(limit, 0, kMaxLogReadBytes);
  chunk.offset = first;
  for (const auto& [number, size] : segments) {
    const std::int64_t start = number * segment_bytes, end = start + size;
    std::int64_t next = chunk.offset + static_cast<std::int64_t>(chunk.data.size());
    if (end <= next) continue;
    if (start > next) {
      if (!chunk.data.empty()) break;  // a hole: the next chunk begins behind it
      next = chunk.offset = start;
    }
    const std::int64_t part = std::min(end - next, wanted - static_cast<std::int64_t>(chunk.data.size()));
    if (part <= 0) break;
    chunk.data += read_part(path_prefix + "." + std::to_string(number), next - start, part);
  }
  chunk.complete = ended && chunk.offset + static_cast<std::int64_t>(chunk.data.size()) >= chunk.size;
  return chunk;
}

}  // namespace aether::executor
