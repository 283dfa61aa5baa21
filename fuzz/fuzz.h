#pragma once
// What every fuzz target needs. A target is a file x_fuzz.cc beside the decoder it tries; it is built twice: against
// libFuzzer (preset `fuzz`), and against replay.cc in every other build, where ctest runs the corpus and its mutations.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace aether::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// "a\nb\nc" -> a, b and c: one input for decoders that take several texts.
inline std::vector<std::string> lines_of(std::string_view text, std::size_t most = 64) {
  std::vector<std::string> lines;
  while (lines.size() < most) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

// A folder in memory for decoders that read files; gone at the end of the process.
class Folder {
 public:
  Folder() : path_(std::filesystem::exists("/dev/shm") ? "/dev/shm/aether-fuzz-XXXXXX" : "/tmp/aether-fuzz-XXXXXX") {
    AETHER_ASSERT(mkdtemp(path_.data()) != nullptr);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }
  // Missing folders of `name` are made.
  void write(const std::string& name, std::string_view content) const {
    const std::filesystem::path file = path_ + "/" + name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
  }

 private:
  std::string path_;
};

}  // namespace aether::fuzz
