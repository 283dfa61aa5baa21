// Bodies of POST /predict and POST /anomaly.
#include "ai_core/wire.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  const std::string_view text = fuzz::text_of(data, size);
  if (const auto request = ai_core::decode_predict_request(text)) {
    if (validate(*request)) {
      Prediction prediction{{"model", "1"}, "0", {}, {}};
      for (const auto& candidate : request->candidates) prediction.scores.push_back({candidate.gpu_uuid, 0.5, {{"bias", 0, 1}}});
      AETHER_ASSERT(ai_core::encode_prediction(prediction, request->explain).front() == '{');
    }
  } else {
    AETHER_ASSERT(!request.error().message.empty());
  }
  if (const auto samples = ai_core::decode_anomaly_request(text))
    (void)validate(*samples);
  else
    AETHER_ASSERT(!samples.error().message.empty());
  return 0;
}
