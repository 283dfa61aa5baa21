// Runs a fuzz target without libFuzzer: every file of the folders given, cut at each of its first bytes, and changed in
// ways that a fixed seed chooses. The same inputs on every machine; no search.
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/rng.h"
#include "fuzz.h"

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kCutBytes = 256;
constexpr int kMutations = 100;

std::vector<fs::path> files_of(int argc, char** argv) {
  std::vector<fs::path> files;
  for (int i = 1; i < argc; ++i) {
    if (fs::is_regular_file(argv[i])) files.emplace_back(argv[i]);
    if (!fs::is_directory(argv[i])) continue;
    for (const auto& entry : fs::directory_iterator(argv[i]))
      if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void run(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

std::string mutate(std::string text, aether::Rng& rng) {
  static constexpr std::array<std::string_view, 14> kWords = {
      "null", "-1", "1e999", "9223372036854775808", "{}", "[]", "\"", "[[[[", "\\u0000", "\xff", "\n", "%", "=", "-0"};
  for (std::uint64_t step = 1 + rng.below(3); step > 0; --step) {
    const std::size_t at = rng.below(text.size() + 1);
    switch (rng.below(4)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << rng.below(8)));
        break;
      case 1: text.insert(at, kWords[rng.below(kWords.size())]); break;
      case 2: text.erase(at, 1 + rng.below(8)); break;
      default: text.replace(at, std::min<std::size_t>(text.size() - at, 1 + rng.below(6)), kWords[rng.below(kWords.size())]);
    }
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  const auto files = files_of(argc, argv);
  std::size_t runs = 0;
  for (const fs::path& path : files) {
    const std::string text = read(path);
    run(text);
    for (std::size_t size = 0; size < std::min(text.size(), kCutBytes); ++size, ++runs) run(text.substr(0, size));
    aether::Rng rng(text.size());
    for (int i = 0; i < kMutations; ++i, ++runs) run(mutate(text, rng));
  }
  std::printf("%zu inputs of %zu seeds\n", runs + files.size(), files.size());
  return files.empty() ? 1 : 0;
}
