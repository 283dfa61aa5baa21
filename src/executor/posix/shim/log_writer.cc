#include "executor/posix/shim/log_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "executor/posix/shim_protocol.h"

namespace aether::executor {
namespace {

std::uint64_t number_of(const std::string& name, const std::string& stem) {
  return std::strtoull(name.c_str() + stem.size(), nullptr, 10);
}

}  // namespace

LogWriter::LogWriter(std::string path_prefix, std::int64_t segment_bytes, int segments, LogRoom room)
    : path_prefix_(std::move(path_prefix)),
      gaps_path_(gaps_path_of(path_prefix_)),
      segment_bytes_(static_cast<std::uint64_t>(segment_bytes)),
      segments_(static_cast<std::uint64_t>(segments)),
      room_(room) {
  segment_ = 0;
}

LogWriter::~LogWriter() {
  if (fd_ >= 0) close(fd_);
}

std::string LogWriter::path_of(std::uint64_t segment) const { return path_prefix_ + "." + std::to_string(segment); }

void LogWriter::continue_stream() {
  if (const int fd = open(gaps_path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW); fd >= 0) {
    std::string text(kRecordBytes, '\0');
    const ssize_t got = pread(fd, text.data(), text.size(), 0);
    gaps_ = LogGaps::decode(std::string_view(text).substr(0, got > 0 ? static_cast<std::size_t>(got) : 0));
    close(fd);
  }
  total_ = gaps_.end();
  const std::size_t slash = path_prefix_.rfind('/');
  const std::string stem = path_prefix_.substr(slash == std::string::npos ? 0 : slash + 1) + ".";
  DIR* directory = opendir(slash == std::string::npos ? "." : path_prefix_.substr(0, slash).c_str());
  while (const dirent* entry = directory ? readdir(directory) : nullptr) {
    const std::string name = entry->d_name;
    struct stat info {};
    if (!name.starts_with(stem) || stat(path_of(number_of(name, stem)).c_str(), &info) != 0) continue;
    total_ = std::max(total_, number_of(name, stem) * segment_bytes_ + static_cast<std::uint64_t>(info.st_size));
  }
  if (directory) closedir(directory);
  segment_ = total_ > 0 ? (total_ - 1) / segment_bytes_ : 0;
}

void LogWriter::open_segment(int more_flags) {
  fd_ = open(path_of(segment_).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | more_flags, 0600);
}

void LogWriter::enter_segment(std::uint64_t segment) {
  if (segment == segment_) {
    if (fd_ < 0) open_segment(0);  // the first byte, or the disk had refused the file
    return;
  }
  if (fd_ >= 0) close(fd_);
  segment_ = segment;
  // Kept: segment 0 and the newest segments_ - 1.
  if (segment >= segments_) remove_segment(segment - segments_ + 1);
  open_segment(O_TRUNC);
}

void LogWriter::remove_segment(std::uint64_t segment) {
  const std::uint64_t begin = segment * segment_bytes_, end = begin + segment_bytes_;
  if (unlink(path_of(segment).c_str()) == 0) dropped_ += segment_bytes_ - gaps_.missing_in(begin, end);
  gaps_.remove_within(begin, end);
}

std::size_t LogWriter::write_at(const char* data, std::size_t size, std::uint64_t offset_in_segment) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t written = pwrite(fd_, data + done, size - done, static_cast<off_t>(offset_in_segment + done));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    done += static_cast<std::size_t>(written);
  }
  return done;
}

void LogWriter::store_gaps() const {
  const int fd = open(gaps_path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return;
  const std::string text = gaps_.encode();
  if (pwrite(fd, text.data(), text.size(), 0) < 0) {
    // The gap stays in this memory; the next change tries again, and the exit record has the sum.
  }
  close(fd);
}

void LogWriter::drop(std::size_t size) {
  while (size > 0) {
    enter_segment(total_ / segment_bytes_);
    const std::uint64_t offset = total_ % segment_bytes_;
    const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(size, segment_bytes_ - offset));
    gaps_.add(total_, total_ + part);
    total_ += part;
    dropped_ += part;
    size -= part;
    // The file's end still says how far the stream has come; a sparse end needs no space.
    if (fd_ >= 0 && ftruncate(fd_, static_cast<off_t>(offset + part)) != 0) continue;
  }
  store_gaps();
}

std::size_t LogWriter::append(const char* data, std::size_t size) {
  std::size_t taken = 0;
  while (taken < size) {
    const std::uint64_t segment = total_ / segment_bytes_, offset = total_ % segment_bytes_;
    if (room_ == LogRoom::kKeepAll && segment >= segments_) break;
    enter_segment(segment);
    const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(size - taken, segment_bytes_ - offset));
    const std::size_t written = write_at(data + taken, part, offset);
    total_ += written;
    taken += written;
    if (written == part) continue;
    if (room_ == LogRoom::kKeepAll) break;
    drop(part - written);
    taken += part - written;
  }
  return taken;
}

}  // namespace aether::executor
