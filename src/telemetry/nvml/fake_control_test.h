#pragma once
// The file that tells the fake library how to behave; fake/control.h lists the settings.
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace aether {

class FakeControl {
 public:
  FakeControl() {
    path_ = (std::filesystem::temp_directory_path() / ("aether-fake-nvml-" + std::to_string(getpid()))).string();
    set({});
    setenv("AETHER_FAKE_NVML", path_.c_str(), 1);
  }
  ~FakeControl() {
    unsetenv("AETHER_FAKE_NVML");
    std::filesystem::remove(path_);
  }
  FakeControl(const FakeControl&) = delete;

  void set(const std::vector<std::string>& lines) {
    lines_ = lines;
    std::ofstream file(path_ + ".new");
    file << "# " << std::string(++generation_, '.') << "\n";  // another size each time: clocks of files are coarse
    for (const std::string& line : lines) file << line << "\n";
    file.close();
    std::filesystem::rename(path_ + ".new", path_);
  }
  void add(const std::string& line) {
    std::vector<std::string> lines = lines_;
    lines.push_back(line);
    set(lines);
  }

 private:
  std::string path_;
  std::vector<std::string> lines_;
  std::size_t generation_ = 0;
};

}  // namespace aether
