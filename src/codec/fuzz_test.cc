#include <gtest/gtest.h>

#include <cstdint>

#include <nlohmann/json.hpp>

#include "codec/codec.h"
#include "codec/random_model.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace aether::codec {
namespace {

std::vector<std::string> seed_corpus(testing::RandomModel& random) {
  std::vector<std::string> corpus;
  for (std::size_t kind = 0; kind < 6; ++kind) {
    corpus.push_back(encode_command(random.command(kind)));
    corpus.push_back(encode_event(random.event(kind)));
  }
  GpuSample sample = random.sample();
  sample.node = NodeId("n1");
  sample.gpu_index = 2;
  corpus.push_back(encode_sample(sample));
  for (const Json& json : {encode_job_spec(random.spec()), encode_gpu_info(random.gpu_info()), encode_exit(random.exit()),
                           encode_inventory(random.inventory()), encode_attempt(random.attempt()),
                           encode_job_event(random.job_event()), encode_placement_record(random.placement_record())})
    corpus.push_back(dump(json));
  corpus.push_back(base64_encode(random.bytes(60)));
  return corpus;
}

// Flips, cuts, repeats and swaps of bytes and of the words that JSON and our limits care about.
std::string mutate(std::string text, Rng& rng) {
  static constexpr std::array<std::string_view, 16> kWords = {
      "null", "true", "-1", "1e999", "9223372036854775807", "18446744073709551616", "{}", "[]", "\"\"", "[[[[",
      "\\u0000", "\xff", "7.5", "-0", "\"v\":1", "2147483632"};
  for (std::uint64_t step = 1 + rng.below(4); step > 0; --step) {
    const std::size_t at = rng.below(text.size() + 1);
    switch (rng.below(5)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << rng.below(8)));
        break;
      case 1: text.insert(at, kWords[rng.below(kWords.size())]); break;
      case 2: text.erase(at, rng.below(8)); break;
      case 3: text.insert(at, text.substr(rng.below(text.size() + 1), rng.below(24))); break;
      default: text.replace(at, std::min<std::size_t>(text.size() - at, 1 + rng.below(6)), kWords[rng.below(kWords.size())]);
    }
  }
  return text;
}

TEST(Fuzz, MutatedTextsNeitherCrashNorChangeTheirValue) {
  constexpr int kRounds = 60;
  std::size_t runs = 0;
  for (std::uint64_t seed = 0; seed < kRounds; ++seed) {
    testing::RandomModel random(seed);
    for (const std::string& text : seed_corpus(random))
      for (int i = 0; i < 5; ++i, ++runs) {
        const std::string mutated = mutate(text, random.rng());
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(mutated.data()), mutated.size());
      }
  }
  EXPECT_GT(runs, 5000U);
}

TEST(Fuzz, SeedsAreAcceptedBySomeDecoder) {
  testing::RandomModel random(1);
  for (const std::string& text : seed_corpus(random))
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  EXPECT_TRUE(decode_command(seed_corpus(random)[0]));
}

}  // namespace
}  // namespace aether::codec
