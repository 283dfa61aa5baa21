#pragma once
// Internal to codec/: reading a JSON object field by field. The first problem is kept and every later read does nothing,
// so a decoder is a plain list of its fields. A JSON null counts as absent.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/result.h"
#include "base/strong_id.h"

namespace aether::codec {

using Json = nlohmann::json;

inline constexpr std::size_t kMaxDepth = 32;
inline constexpr std::size_t kMaxTextBytes = 1024 * 1024;
// The end of the year 9999: times beyond it have no RFC 3339 form.
inline constexpr std::int64_t kMaxUnixUs = 253'402'300'799'999'999;

// One reference token of a JSON pointer (RFC 6901).
std::string pointer_token(std::string_view key);

// A decoding problem names the pointer both in the text and in Error::field.
Error bad_field(const std::string& pointer, std::string_view problem);

// A value as people may see it in an error: short, printable.
std::string shown(const Json& value);

class Fields {
 public:
  Fields(const Json& json, std::string pointer, std::optional<Error>& error);

  // An absent key leaves `out` as it is; need() makes it an error.
  template <class T>
  void read(const char* key, T& out) {
    if (const Json* value = find(key)) convert(*value, pointer_of(key), out);
  }
  template <class T>
  void need(const char* key, T& out) {
    if (require(key)) read(key, out);
  }

  // Words of an enumeration: `parse` gives nullopt for an unknown one.
  template <class T>
  void read_word(const char* key, T& out, std::optional<T> (*parse)(std::string_view)) {
    std::string word;
    const Json* value = find(key);
    if (value == nullptr) return;
    convert(*value, pointer_of(key), word);
    if (error_) return;
    if (const std::optional<T> parsed = parse(word))
      out = *parsed;
    else
      report(key, "'" + word.substr(0, 64) + "' is not one of the known words");
  }

  // Nested objects, by the function that reads their fields.
  template <class T>
  void read_object(const char* key, T& out, void (*read_fields)(Fields&, T&)) {
    if (const Json* value = find(key)) {
      Fields inner(*value, pointer_of(key), error_);
      if (!error_) read_fields(inner, out);
    }
  }
  template <class T>
  void read_object(const char* key, std::optional<T>& out, void (*read_fields)(Fields&, T&)) {
    if (find(key) == nullptr) return;
    read_object(key, out.emplace(), read_fields);
  }
  template <class T>
  void read_objects(const char* key, std::vector<T>& out, void (*read_fields)(Fields&, T&)) {
    const Json* list = find_list(key);
    if (list == nullptr) return;
    out.clear();
    for (std::size_t i = 0; i < list->size() && !error_; ++i) {
      Fields inner((*list)[i], pointer_of(key) + "/" + std::to_string(i), error_);
      if (!error_) read_fields(inner, out.emplace_back());
    }
  }

  const Json* find(const char* key) const;  // null when absent, null, or a problem is already known
  bool require(const char* key);
  void report(const char* key, std::string_view problem);
  bool failed() const { return error_.has_value(); }
  std::string pointer_of(std::string_view key) const { return pointer_ + "/" + pointer_token(key); }

 private:
  const Json* find_list(const char* key);
  void convert(const Json& value, const std::string& pointer, bool& out);
  void convert(const Json& value, const std::string& pointer, int& out);
  void convert(const Json& value, const std::string& pointer, std::int64_t& out);
  void convert(const Json& value, const std::string& pointer, std::uint64_t& out);
  void convert(const Json& value, const std::string& pointer, double& out);
  void convert(const Json& value, const std::string& pointer, std::string& out);
  void convert(const Json& value, const std::string& pointer, Time& out);
  void convert(const Json& value, const std::string& pointer, std::map<std::string, std::string>& out);
  template <class Tag>
  void convert(const Json& value, const std::string& pointer, StrongId<Tag>& out) {
    std::string text;
    convert(value, pointer, text);
    out = StrongId<Tag>(std::move(text));
  }
  template <class T>
  void convert(const Json& value, const std::string& pointer, std::optional<T>& out) {
    convert(value, pointer, out.emplace());
  }
  template <class T>
  void convert(const Json& value, const std::string& pointer, std::vector<T>& out) {
    if (!value.is_array()) return wrong_type(pointer, "a list", value);
    out.clear();
    for (std::size_t i = 0; i < value.size() && !error_; ++i)
      convert(value[i], pointer + "/" + std::to_string(i), out.emplace_back());
  }
  void wrong_type(const std::string& pointer, std::string_view wanted, const Json& value);

  const Json& json_;
  std::string pointer_;
  std::optional<Error>& error_;
};

// Runs `read_fields` over a whole document.
template <class T>
Result<T> decode_object(const Json& json, void (*read_fields)(Fields&, T&)) {
  std::optional<Error> error;
  T out{};
  Fields fields(json, "", error);
  if (!error) read_fields(fields, out);
  if (error) return fail(std::move(*error));
  return out;
}

// Writing: absent optionals and numbers that are not finite leave no key behind. Times become `<key>` in Unix µs.
inline void put(Json& json, const char* key, bool value) { json[key] = value; }
inline void put(Json& json, const char* key, int value) { json[key] = value; }
inline void put(Json& json, const char* key, std::int64_t value) { json[key] = value; }
inline void put(Json& json, const char* key, std::uint64_t value) { json[key] = value; }
void put(Json& json, const char* key, double value);
inline void put(Json& json, const char* key, std::string_view value) { json[key] = value; }
inline void put(Json& json, const char* key, const char* value) { json[key] = value; }
inline void put(Json& json, const char* key, const std::string& value) { json[key] = value; }
inline void put(Json& json, const char* key, Time value) { json[key] = to_unix_us(value); }
template <class Tag>
void put(Json& json, const char* key, const StrongId<Tag>& value) {
  json[key] = value.str();
}
template <class T>
void put(Json& json, const char* key, const std::optional<T>& value) {
  if (value) put(json, key, *value);
}

template <class Tag>
Json id_list(const std::vector<StrongId<Tag>>& ids) {
  Json list = Json::array();
  for (const auto& id : ids) list.push_back(id.str());
  return list;
}

template <class T, class Encode>
Json list_of(const std::vector<T>& values, Encode encode) {
  Json list = Json::array();
  for (const T& value : values) list.push_back(encode(value));
  return list;
}

// null where the value is empty: for people's programs, which look for the key.
template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}
inline Json or_null(const std::string& value) { return value.empty() ? Json(nullptr) : Json(value); }
inline Json time_or_null(const std::optional<Time>& value) {
  return value ? Json(format_rfc3339(*value)) : Json(nullptr);
}

}  // namespace aether::codec
