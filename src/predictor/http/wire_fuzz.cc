// Replies of an AI core that may be anybody: a prediction that is taken names every candidate once, with scores of 0..1.
#include "fuzz.h"
#include "predictor/http/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  const std::string_view text = fuzz::text_of(data, size);
  static const std::vector<CandidateFeatures> candidates = [] {
    std::vector<CandidateFeatures> out(2);
    out[0].gpu_uuid = GpuUuid("g0");
    out[1].gpu_uuid = GpuUuid("g1");
    return out;
  }();
  static const std::vector<AnomalySample> samples = {{GpuUuid("g0"), candidates[0]}, {GpuUuid("g1"), candidates[1]}};
  if (const auto prediction = decode_prediction(text, candidates)) {
    AETHER_ASSERT(prediction->scores.size() == candidates.size());
    for (const auto& score : prediction->scores) AETHER_ASSERT(score.score >= 0 && score.score <= 1);
    AETHER_ASSERT(ranking(*prediction).size() == candidates.size());
  }
  if (const auto verdicts = decode_verdicts(text, samples)) AETHER_ASSERT(verdicts->size() == samples.size());
  (void)decode_health(text);
  AETHER_ASSERT(!decode_problem(500, text).message.empty());
  return 0;
}
