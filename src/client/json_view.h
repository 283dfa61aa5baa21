#pragma once
// Reading JSON that another version of Aether wrote: a missing key, null or a value of another type is
// "absent", and nothing here throws. Internal to the module.
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace aether::client {

using Json = nlohmann::json;

// A discarded value when the text is no JSON.
Json parse_json(std::string_view text);
std::string dump_json(const Json& json);

// Null when absent. Valid as long as `json`.
const Json& member(const Json& json, std::string_view key);
// The array under `key`, an empty one when absent.
const Json& items_of(const Json& json, std::string_view key = "items");
// "" when absent; numbers and booleans are written out.
std::string text_of(const Json& json, std::string_view key);
std::string text_of(const Json& json);
std::optional<double> number_of(const Json& json, std::string_view key);
std::optional<std::int64_t> integer_of(const Json& json, std::string_view key);
bool flag_of(const Json& json, std::string_view key);
// The elements' texts joined.
std::string joined(const Json& array, std::string_view separator);

}  // namespace aether::client
