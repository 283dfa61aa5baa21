#pragma once
// A trained model on disk, each file vouching for the next:
//   <dir>/current                "<version> <SHA-256 of model.json>\n"
//   <dir>/<version>/model.json   the manifest: features, provenance, metrics, SHA-256 of model.ubj
//   <dir>/<version>/model.ubj    XGBoost's own format
// So a file that was cut, changed or mixed up is refused before XGBoost reads a byte of it.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "predictor/healthy_bands.h"
#include "predictor/xgboost/booster.h"

namespace aether::xgboost {

inline constexpr std::string_view kModelName = "gpu-fitness";

struct Manifest {
  std::string name = std::string(kModelName);
  std::string version;
  std::vector<std::string> features;
  std::string features_sha256;
  Time trained_at;
  std::size_t rows = 0;
  std::uint64_t seed = 0;
  std::string data = "synthetic";
  std::string metrics_json;  // of evaluation.h
  std::string model_sha256;
  HealthyBands::Levels healthy_bands{};
};

struct StoredModel {
  Manifest manifest;
  Booster booster;
};

// Fills version, features and hashes of `manifest` and makes the model current. Files of an interrupted call are never
// current. Returns the manifest as written.
Result<Manifest> save_model(const std::string& directory, const std::string& model_bytes, Manifest manifest);
// kNotFound when the directory has no current model, kCorrupt when a file is not the one that was written or was trained
// on other features. The message names the file and the remedy.
Result<StoredModel> load_model(const std::string& directory);

std::string sha256_hex(std::string_view text);
// Of feature_list_text().
const std::string& features_sha256();

}  // namespace aether::xgboost
