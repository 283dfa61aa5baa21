#include "executor/posix/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "base/files.h"
#include "executor/posix/log_gaps.h"

namespace aether::executor {
namespace {

struct Extent {
  std::int64_t begin = 0, end = 0;
};

// What is kept of the stream, in order and without the gaps; `size` is where the stream ends.
std::vector<Extent> find_extents(const std::string& path_prefix, std::int64_t segment_bytes, std::int64_t& size) {
  const std::filesystem::path prefix(path_prefix);
  const std::string stem = prefix.filename().string() + ".";
  const LogGaps gaps = LogGaps::decode(read_file(gaps_path_of(path_prefix)).value_or(""));
  size = static_cast<std::int64_t>(gaps.end());
  std::vector<Extent> extents;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(prefix.parent_path(), error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(stem)) continue;
    std::int64_t begin = std::strtoll(name.c_str() + stem.size(), nullptr, 10) * segment_bytes;
    struct stat info {};
    if (stat(entry.path().c_str(), &info) != 0) {  // gone since the directory was read, so the stream has passed its end
      size = std::max(size, begin + segment_bytes);
      continue;
    }
    const std::int64_t end = begin + info.st_size;
    size = std::max(size, end);
    for (std::size_t i = 0; i < gaps.count(); ++i) {
      const auto gap_begin = static_cast<std::int64_t>(gaps.at(i).begin), gap_end = static_cast<std::int64_t>(gaps.at(i).end);
      if (gap_end <= begin || gap_begin >= end) continue;
      if (gap_begin > begin) extents.push_back({begin, gap_begin});
      begin = gap_end;
    }
    if (begin < end) extents.push_back({begin, end});
  }
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  return extents;
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
  LogChunk chunk;
  const auto extents = find_extents(path_prefix, segment_bytes, chunk.size);
  const std::int64_t first = offset >= 0 ? std::min(offset, chunk.size) : std::max<std::int64_t>(0, chunk.size + offset);
  const std::int64_t wanted = std::clamp<std::int64_t>(limit, 0, kMaxLogReadBytes);
  chunk.offset = first;
  bool found = false;
  for (const auto& [begin, end] : extents) {
    std::int64_t next = chunk.offset + static_cast<std::int64_t>(chunk.data.size());
    if (end <= next) continue;
    if (begin > next) {
      if (!chunk.data.empty()) break;  // a gap: the next chunk begins behind it
      next = chunk.offset = begin;
    }
    found = true;
    const std::int64_t part = std::min(end - next, wanted - static_cast<std::int64_t>(chunk.data.size()));
    if (part <= 0) break;
    const std::int64_t segment = next / segment_bytes;
    chunk.data += read_part(path_prefix + "." + std::to_string(segment), next - segment * segment_bytes, part);
  }
  if (!found) chunk.offset = chunk.size;  // nothing is kept from here on
  chunk.complete = ended && chunk.offset + static_cast<std::int64_t>(chunk.data.size()) >= chunk.size;
  return chunk;
}

}  // namespace aether::executor
