// A model's manifest of any bytes behind a right SHA-256: refused with a remedy, never believed. The model itself is not
// tried: its hash stands in the manifest, and XGBoost reads it only when that is right.
#include "fuzz.h"
#include "predictor/xgboost/model_files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  static const fuzz::Folder folder;
  const std::string_view text = fuzz::text_of(data, size);
  folder.write("v1/model.json", text);
  folder.write("current", "v1 " + xgboost::sha256_hex(text) + "\n");
  const auto stored = xgboost::load_model(folder.path());
  AETHER_ASSERT(!stored);  // there is no model.ubj
  AETHER_ASSERT(!stored.error().message.empty());
  folder.write("current", text);
  AETHER_ASSERT(!xgboost::load_model(folder.path()));
  return 0;
}
