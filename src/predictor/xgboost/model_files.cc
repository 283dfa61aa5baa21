#include "predictor/xgboost/model_files.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/names.h"

namespace aether::xgboost {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kRemedy = "train a new model with 'aether train --synthetic'";
constexpr int kFormat = 1;

tl::unexpected<Error> corrupt(const std::string& path, std::string_view what) {
  return fail(ErrorCode::kCorrupt, fmt::format("{}: {}; {}", path, what, kRemedy));
}

Json encode_bands(const HealthyBands::Levels& levels) {
  Json out = Json::array();
  for (const auto& level : levels) {
    Json bands = Json::object();
    for (std::size_t i = 0; i < level.size(); ++i)
      bands[std::string(HealthyBands::kFeatures[i])] = {level[i].low, level[i].high};
    out.push_back(std::move(bands));
  }
  return out;
}

// Throws nlohmann's exceptions; decode_manifest() turns them into an error.
HealthyBands::Levels decode_bands(const Json& json) {
  HealthyBands::Levels levels;
  for (std::size_t level = 0; level < levels.size(); ++level)
    for (std::size_t i = 0; i < levels[level].size(); ++i) {
      const Json& band = json.at(level).at(std::string(HealthyBands::kFeatures[i]));
      levels[level][i] = {band.at(0).get<double>(), band.at(1).get<double>()};
    }
  return levels;
}

std::string encode_manifest(const Manifest& manifest) {
  nlohmann::ordered_json out;
  out["format"] = kFormat;
  out["name"] = manifest.name;
  out["version"] = manifest.version;
  out["trained_at"] = format_rfc3339(manifest.trained_at);
  out["data"] = manifest.data;
  out["rows"] = manifest.rows;
  out["seed"] = manifest.seed;
  out["features"] = manifest.features;
  out["features_sha256"] = manifest.features_sha256;
  out["model_sha256"] = manifest.model_sha256;
  out["metrics"] = manifest.metrics_json.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json::parse(manifest.metrics_json);
  out["healthy_bands"] = encode_bands(manifest.healthy_bands);
  return out.dump(2) + "\n";
}

Result<Manifest> decode_manifest(const std::string& text, const std::string& path) {
  try {
    const Json json = Json::parse(text);
    if (json.at("format").get<int>() != kFormat) return corrupt(path, "it was written by another version of Aether");
    Manifest manifest;
    json.at("name").get_to(manifest.name);
    json.at("version").get_to(manifest.version);
    json.at("data").get_to(manifest.data);
    json.at("rows").get_to(manifest.rows);
    json.at("seed").get_to(manifest.seed);
    json.at("features").get_to(manifest.features);
    json.at("features_sha256").get_to(manifest.features_sha256);
    json.at("model_sha256").get_to(manifest.model_sha256);
    manifest.metrics_json = json.at("metrics").dump();
    manifest.healthy_bands = decode_bands(json.at("healthy_bands"));
    const auto trained_at = parse_rfc3339(json.at("trained_at").get<std::string>());
    if (!trained_at) return corrupt(path, trained_at.error().message);
    manifest.trained_at = *trained_at;
    return manifest;
  } catch (const std::exception& error) {
    return corrupt(path, fmt::format("the manifest can't be read ({})", error.what()));
  }
}

struct Current {
  std::string version, manifest_sha256;
};

Result<Current> read_current(const std::string& directory) {
  const std::string path = directory + "/current";
  const auto text = read_file(path);
  if (!text && text.error().code == ErrorCode::kNotFound)
    return fail(ErrorCode::kNotFound, fmt::format("no model in {}; {}", directory, kRemedy));
  if (!text) return fail(text.error());
  const std::size_t space = text->find(' ');
  if (space == std::string::npos || text->size() != space + 66 || text->back() != '\n')
    return corrupt(path, "it does not hold '<version> <SHA-256>'");
  Current current{text->substr(0, space), text->substr(space + 1, 64)};
  // The version becomes a path: a plain name can't leave the directory.
  if (!is_valid_name(current.version)) return corrupt(path, "the version is not a plain name");
  return current;
}

Result<std::string> read_checked(const std::string& path, const std::string& sha256) {
  auto bytes = read_file(path);
  if (!bytes && bytes.error().code == ErrorCode::kNotFound) return corrupt(path, "the file is missing");
  if (!bytes) return fail(bytes.error());
  if (sha256_hex(*bytes) != sha256)
    return corrupt(path, fmt::format("its {} bytes are not the ones that were written (other SHA-256)", bytes->size()));
  return bytes;
}

Result<void> check_features(const Manifest& manifest, const std::string& path) {
  const auto& names = feature_names();
  if (manifest.features_sha256 == features_sha256() &&
      std::equal(names.begin(), names.end(), manifest.features.begin(), manifest.features.end()))
    return {};
  return corrupt(path, fmt::format("the model was trained on {} other features than this program computes",
                                   manifest.features.size()));
}

}  // namespace

std::string sha256_hex(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_Digest(text.data(), text.size(), digest, &length, EVP_sha256(), nullptr);
  std::string hex;
  for (unsigned int i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

const std::string& features_sha256() {
  static const std::string digest = sha256_hex(feature_list_text());
  return digest;
}

Result<Manifest> save_model(const std::string& directory, const std::string& model_bytes, Manifest manifest) {
  manifest.features.assign(feature_names().begin(), feature_names().end());
  manifest.features_sha256 = features_sha256();
  manifest.model_sha256 = sha256_hex(model_bytes);
  manifest.version = fmt::format("{}-{}-{}", manifest.data, manifest.seed, manifest.model_sha256.substr(0, 10));
  const std::string folder = fmt::format("{}/{}", directory, manifest.version);
  const std::string text = encode_manifest(manifest);
  AETHER_TRY(make_private_directory(folder));
  AETHER_TRY(write_file_durably(folder + "/model.ubj", model_bytes));
  AETHER_TRY(write_file_durably(folder + "/model.json", text));
  AETHER_TRY(write_file_durably(directory + "/current", fmt::format("{} {}\n", manifest.version, sha256_hex(text))));
  return manifest;
}

Result<StoredModel> load_model(const std::string& directory) {
  const auto current = read_current(directory);
  if (!current) return fail(current.error());
  const std::string folder = fmt::format("{}/{}", directory, current->version);
  const std::string manifest_path = folder + "/model.json";
  const std::string model_path = folder + "/model.ubj";
  const auto text = read_checked(manifest_path, current->manifest_sha256);
  if (!text) return fail(text.error());
  auto manifest = decode_manifest(*text, manifest_path);
  if (!manifest) return fail(manifest.error());
  AETHER_TRY(check_features(*manifest, manifest_path));
  const auto bytes = read_checked(model_path, manifest->model_sha256);
  if (!bytes) return fail(bytes.error());
  auto booster = Booster::from_bytes(*bytes);
  if (!booster) return corrupt(model_path, booster.error().message);
  return StoredModel{std::move(*manifest), std::move(*booster)};
}

}  // namespace aether::xgboost
