#include "codec/fields.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/log.h"

namespace aether::codec {

std::string pointer_token(std::string_view key) {
  std::string token;
  for (const char c : key) {
    if (c == '~')
      token += "~0";
    else if (c == '/')
      token += "~1";
    else
      token += c;
  }
  return token;
}

Error bad_field(const std::string& pointer, std::string_view problem) {
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{}: {}", pointer.empty() ? "the document" : log::sanitise(pointer), problem), pointer};
}

std::string shown(const Json& value) {
  constexpr std::size_t kShownBytes = 64;
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kShownBytes) text.replace(kShownBytes, std::string::npos, "...");
  return text;
}

Fields::Fields(const Json& json, std::string pointer, std::optional<Error>& error)
    : json_(json), pointer_(std::move(pointer)), error_(error) {
  if (!json_.is_object()) wrong_type(pointer_, "an object", json_);
}

const Json* Fields::find(const char* key) const {
  if (error_) return nullptr;
  const auto at = json_.find(key);
  return at == json_.end() || at->is_null() ? nullptr : &*at;
}

const Json* Fields::find_list(const char* key) {
  const Json* value = find(key);
  if (value == nullptr || value->is_array()) return value;
  wrong_type(pointer_of(key), "a list", *value);
  return nullptr;
}

bool Fields::require(const char* key) {
  if (error_) return false;
  if (find(key) != nullptr) return true;
  report(key, "missing");
  return false;
}

void Fields::report(const char* key, std::string_view problem) {
  if (!error_) error_ = bad_field(pointer_of(key), problem);
}

void Fields::wrong_type(const std::string& pointer, std::string_view wanted, const Json& value) {
  if (!error_) error_ = bad_field(pointer, fmt::format("{} is not {}", shown(value), wanted));
}

void Fields::convert(const Json& value, const std::string& pointer, bool& out) {
  if (!value.is_boolean()) return wrong_type(pointer, "true or false", value);
  out = value.get<bool>();
}

void Fields::convert(const Json& value, const std::string& pointer, std::int64_t& out) {
  if (!value.is_number_integer()) return wrong_type(pointer, "an integer", value);
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max())
    return wrong_type(pointer, "in the range of 64 bits", value);
  out = value.get<std::int64_t>();
}

void Fields::convert(const Json& value, const std::string& pointer, int& out) {
  std::int64_t wide = 0;
  convert(value, pointer, wide);
  if (wide < std::numeric_limits<int>::min() || wide > std::numeric_limits<int>::max())
    return wrong_type(pointer, "in the range of 32 bits", value);
  out = static_cast<int>(wide);
}

void Fields::convert(const Json& value, const std::string& pointer, std::uint64_t& out) {
  // A literal that is not negative is parsed as unsigned; one built in memory may be signed.
  const bool fits = value.is_number_unsigned() || (value.is_number_integer() && value.get<std::int64_t>() >= 0);
  if (!fits) return wrong_type(pointer, "an integer of at least 0", value);
  out = value.get<std::uint64_t>();
}

void Fields::convert(const Json& value, const std::string& pointer, double& out) {
  if (!value.is_number()) return wrong_type(pointer, "a number", value);
  if (!std::isfinite(value.get<double>())) return wrong_type(pointer, "a finite number", value);
  out = value.get<double>();
}

void Fields::convert(const Json& value, const std::string& pointer, std::string& out) {
  if (!value.is_string()) return wrong_type(pointer, "a string", value);
  out = value.get_ref<const std::string&>();
}

void Fields::convert(const Json& value, const std::string& pointer, Time& out) {
  std::int64_t microseconds = 0;
  convert(value, pointer, microseconds);
  if (microseconds < 0 || microseconds > kMaxUnixUs)
    return wrong_type(pointer, "a time in Unix microseconds between 1970 and 9999", value);
  out = from_unix_us(microseconds);
}

void Fields::convert(const Json& value, const std::string& pointer, std::map<std::string, std::string>& out) {
  if (!value.is_object()) return wrong_type(pointer, "an object of strings", value);
  out.clear();
  for (const auto& [key, entry] : value.items()) {
    if (error_) return;
    convert(entry, pointer + "/" + pointer_token(key), out[key]);
  }
}

void put(Json& json, const char* key, double value) {
  if (std::isfinite(value)) json[key] = value;
}

}  // namespace aether::codec
