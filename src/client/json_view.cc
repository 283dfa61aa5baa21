#include "client/json_view.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace aether::client {
namespace {

const Json kNull = nullptr;
const Json kEmptyArray = Json::array();

}  // namespace

Json parse_json(std::string_view text) { return Json::parse(text.begin(), text.end(), nullptr, false); }

std::string dump_json(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

const Json& member(const Json& json, std::string_view key) {
  if (!json.is_object()) return kNull;
  const auto it = json.find(std::string(key));
  return it == json.end() ? kNull : *it;
}

const Json& items_of(const Json& json, std::string_view key) {
  const Json& value = member(json, key);
  return value.is_array() ? value : kEmptyArray;
}

std::string text_of(const Json& json) {
  if (json.is_string()) return json.get<std::string>();
  if (json.is_null() || json.is_discarded()) return {};
  return dump_json(json);
}

std::string text_of(const Json& json, std::string_view key) { return text_of(member(json, key)); }

std::optional<double> number_of(const Json& json, std::string_view key) {
  const Json& value = member(json, key);
  if (!value.is_number()) return std::nullopt;
  const double number = value.get<double>();
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}

std::optional<std::int64_t> integer_of(const Json& json, std::string_view key) {
  const auto number = number_of(json, key);
  if (!number || std::abs(*number) > 9e15) return std::nullopt;
  return static_cast<std::int64_t>(std::llround(*number));
}

bool flag_of(const Json& json, std::string_view key) {
  const Json& value = member(json, key);
  return value.is_boolean() && value.get<bool>();
}

std::string joined(const Json& array, std::string_view separator) {
  std::string out;
  if (!array.is_array()) return out;
  for (const Json& element : array) {
    if (!out.empty()) out += separator;
    out += text_of(element);
  }
  return out;
}

}  // namespace aether::client
