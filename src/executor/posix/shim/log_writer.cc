#include "executor/posix/shim/log_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace aether::executor {

LogWriter::LogWriter(std::string path_prefix, std::int64_t segment_bytes, int segments)
    : path_prefix_(std::move(path_prefix)),
      segment_bytes_(static_cast<std::uint64_t>(segment_bytes)),
      segments_(static_cast<std::uint64_t>(segments)) {
  open_segment(0);
}

LogWriter::~LogWriter() {
  if (fd_ >= 0) close(fd_);
}

std::string LogWriter::path_of(std::uint64_t segment) const { return path_prefix_ + "." + std::to_string(segment); }

void LogWriter::open_segment(std::uint64_t segment) {
  if (fd_ >= 0) close(fd_);
  segment_ = segment;
  fd_ = open(path_of(segment).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  // Kept: segment 0 and the newest segments_ - 1.
  if (segment >= segments_ && unlink(path_of(segment - segments_ + 1).c_str()) == 0) dropped_ += segment_bytes_;
}

void LogWriter::write_at(const char* data, std::size_t size, std::uint64_t offset_in_segment) {
  while (size > 0) {
    const ssize_t written = pwrite(fd_, data, size, static_cast<off_t>(offset_in_segment));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      dropped_ += size;
      // The file's end still says how far the stream has come; a sparse end needs no space.
      if (fd_ >= 0 && ftruncate(fd_, static_cast<off_t>(offset_in_segment + size)) != 0) return;
      return;
    }
    data += written;
    size -= static_cast<std::size_t>(written);
    offset_in_segment += static_cast<std::uint64_t>(written);
  }
}

void LogWriter::append(const char* data, std::size_t size) {
  while (size > 0) {
    const std::uint64_t segment = total_ / segment_bytes_, offset = total_ % segment_bytes_;
    if (segment != segment_) open_segment(segment);
    const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(size, segment_bytes_ - offset));
    write_at(data, part, offset);
    total_ += part;
    data += part;
    size -= part;
  }
}

}  // namespace aether::executor
