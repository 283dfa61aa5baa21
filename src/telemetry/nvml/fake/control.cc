#include "telemetry/nvml/fake/control.h"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

namespace fake_nvml {

void Control::refresh() {
  const char* path = std::getenv("AETHER_FAKE_NVML");
  struct stat status {};
  if (!path || stat(path, &status) != 0) {
    settings_.clear();
    scenario_.clear();
    seen_size_ = -1;
    return;
  }
  const std::int64_t time_ns = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
  if (time_ns == seen_time_ns_ && status.st_size == seen_size_ && status.st_ino == seen_inode_) return;
  seen_time_ns_ = time_ns;
  seen_size_ = status.st_size;
  seen_inode_ = status.st_ino;
  settings_.clear();
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t space = line.find(' ');
    if (line.empty() || line.front() == '#' || space == std::string::npos) continue;
    settings_[line.substr(0, space)] = line.substr(space + 1);
  }
  scenario_ = text("scenario", "");
}

std::string Control::text(const std::string& key, const std::string& otherwise) const {
  const auto found = settings_.find(key);
  return found == settings_.end() ? otherwise : found->second;
}

std::int64_t Control::number(const std::string& key, std::int64_t otherwise) const {
  const auto found = settings_.find(key);
  return found == settings_.end() ? otherwise : std::strtoll(found->second.c_str(), nullptr, 0);
}

}  // namespace fake_nvml
