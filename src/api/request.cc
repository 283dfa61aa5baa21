// Reading queries and bodies strictly, and writing lists.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "api/body.h"
#include "api/context.h"
#include "base/log.h"
#include "base/names.h"
#include "codec/codec.h"

namespace aether::api {
namespace {

constexpr std::int64_t kDefaultPage = 100;
constexpr std::int64_t kLargestPage = 1000;

Response unknown_field(const std::string& what, const std::string& name, const std::string& pointer,
                       const std::vector<std::string>& known, const Request& request) {
  const std::string near = nearest_name(std::string_view(name).substr(0, 64), known);
  std::string message = fmt::format("there is no {} '{}' here", what, log::sanitise(name.substr(0, 64)));
  if (!near.empty()) message += fmt::format("; is '{}' meant?", near);
  return http::problem(400, "unknown_field", Error{ErrorCode::kInvalidArgument, message, pointer}, request);
}

}  // namespace

std::optional<Response> refuse_unknown_query(const Request& request, std::initializer_list<const char*> known) {
  const std::vector<std::string> names(known.begin(), known.end());
  for (const auto& [name, unused] : request.query)
    if (std::find(names.begin(), names.end(), name) == names.end())
      return unknown_field("parameter", name, "?" + name, names, request);
  return std::nullopt;
}

std::optional<Response> refuse_unknown_keys(const Json& body, const std::vector<std::string>& known,
                                            const Request& request) {
  for (const auto& entry : body.items())
    if (std::find(known.begin(), known.end(), entry.key()) == known.end())
      return unknown_field("field", entry.key(), "/" + entry.key(), known, request);
  return std::nullopt;
}

Response bad_parameter(const std::string& name, const std::string& message, const Request& request) {
  return http::problem(400, "invalid_parameter", Error{ErrorCode::kInvalidArgument, message, "?" + name}, request);
}

Result<std::int64_t> query_integer(const Request& request, const std::string& name, std::int64_t otherwise,
                                   std::int64_t least, std::int64_t most) {
  const auto text = request.query_value(name);
  if (!text) return otherwise;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < least || value > most)
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} takes a whole number from {} to {}", name, least, most),
                name);
  return value;
}

Result<bool> query_flag(const Request& request, const std::string& name) {
  const auto text = request.query_value(name);
  if (!text || *text == "false" || *text == "0") return false;
  if (*text == "true" || *text == "1") return true;
  return fail(ErrorCode::kInvalidArgument, fmt::format("{} is true or false", name), name);
}

Body read_body(const Request& request) {
  if (request.body.empty()) return {Json::object(), std::nullopt};
  auto json = codec::parse(request.body);
  if (!json) return {{}, http::problem(400, "malformed_json", json.error(), request)};
  if (!json->is_object()) return {{}, http::problem(400, "malformed_json", "the body must be a JSON object", request)};
  return {std::move(*json), std::nullopt};
}

Response ok(const Json& json, int status) { return http::json(status, codec::dump(json)); }

Response list_of(Json items, std::optional<std::string> next_page_token) {
  Json out = Json::object();
  out["items"] = std::move(items);
  out["next_page_token"] = next_page_token ? Json(*next_page_token) : Json(nullptr);
  return ok(out);
}

Response list_page(const std::vector<Json>& items, const char* id_key, const Request& request) {
  const auto limit = query_integer(request, "limit", kDefaultPage, 1, kLargestPage);
  if (!limit) return bad_parameter("limit", limit.error().message, request);
  auto first = items.begin();
  if (const auto token = request.query_value("page_token")) {
    first = std::find_if(items.begin(), items.end(), [&](const Json& item) { return item.at(id_key) == *token; });
    if (first == items.end())
      return bad_parameter("page_token", "this page token is not of this list, or no longer", request);
    ++first;
  }
  Json page = Json::array();
  for (; first != items.end() && page.size() < static_cast<std::size_t>(*limit); ++first) page.push_back(*first);
  std::optional<std::string> next;
  if (first != items.end()) next = page.back().at(id_key).get<std::string>();
  return list_of(std::move(page), next);
}

}  // namespace aether::api
