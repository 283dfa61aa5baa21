#include "api/pages.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/log.h"
#include "codec/codec.h"

namespace aether::api {
namespace {

using Json = nlohmann::json;
using http::Request;
using http::Response;

constexpr const char* kPolicyStart = "default-src 'none'; script-src 'self'";
constexpr const char* kPolicyEnd =
    "; style-src 'self'; font-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri "
    "'none'; form-action 'none'";

Result<Json> read_json(const std::string& path) {
  auto text = read_file(path);
  if (!text) return fail(text.error());
  return codec::parse(*text);
}

std::string text_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// assets.json comes from our own build; still, a name in it must stay inside the directory.
bool is_safe_name(const std::string& name) {
  return !name.empty() && name.front() != '/' && name.find("..") == std::string::npos &&
         name.find('\\') == std::string::npos;
}

std::shared_ptr<const std::string> load_bytes(const std::string& directory, const std::string& name) {
  if (!is_safe_name(name)) return nullptr;
  auto bytes = read_file(directory + "/" + name);
  return bytes ? std::make_shared<const std::string>(std::move(*bytes)) : nullptr;
}

std::string policy_for(const Json& csp, const std::string& name) {
  if (!csp.is_object() || !csp.contains("pages") || !csp["pages"].contains(name)) return {};
  std::string policy = kPolicyStart;
  for (const Json& hash : csp["pages"][name])
    if (hash.is_string() && hash.get_ref<const std::string&>().find_first_of("'; ") == std::string::npos)
      policy += fmt::format(" '{}'", hash.get<std::string>());
  return policy + kPolicyEnd;
}

bool takes_gzip(const Request& request) {
  const std::string accepted = request.header("accept-encoding");
  const std::size_t at = accepted.find("gzip");
  if (at == std::string::npos) return false;
  const std::string rest = accepted.substr(at + 4, accepted.find(',', at) - at - 4);
  return rest.find("q=0") == std::string::npos || rest.find("q=0.") != std::string::npos;
}

bool is_match(const std::string& if_none_match, const std::string& etag) {
  return if_none_match == "*" || if_none_match.find(etag) != std::string::npos;
}

std::string encode_query(const Request& request) {
  std::string out;
  const auto escape = [](const std::string& text) {
    std::string escaped;
    for (unsigned char c : text)
      escaped += std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~' ? std::string(1, static_cast<char>(c))
                                                                                 : fmt::format("%{:02X}", c);
    return escaped;
  };
  for (const auto& [key, value] : request.query) out += (out.empty() ? "?" : "&") + escape(key) + "=" + escape(value);
  return out;
}

}  // namespace

Pages::Pages(const std::string& directory) {
  if (directory.empty()) {
    why_not_ = "No directory for the dashboard's pages is configured.";
  } else if (!load(directory)) {
    files_.clear();
    why_not_ = "The dashboard was not built: there are no usable pages in " + directory + ".";
    log::warn("api", "the dashboard is not built; its address shows how to build it", {{"directory", directory}});
  }
}

bool Pages::load(const std::string& directory) {
  const auto assets = read_json(directory + "/assets.json");
  const auto csp = read_json(directory + "/csp.json");
  if (!assets || !csp || !assets->is_object() || !assets->contains("files") || !(*assets)["files"].is_array())
    return false;
  for (const Json& entry : (*assets)["files"]) {
    if (!entry.is_object()) return false;
    const std::string name = text_of(entry, "name");
    auto file = std::make_shared<File>();
    file->type = text_of(entry, "type");
    file->etag = text_of(entry, "etag");
    file->cache_control = text_of(entry, "cache") == "immutable" ? "public, max-age=31536000, immutable" : "no-cache";
    file->content_security_policy = policy_for(*csp, name);
    file->body = load_bytes(directory, name);
    if (const std::string gzip = text_of(entry, "gz"); !gzip.empty()) file->gzip_body = load_bytes(directory, gzip);
    file->gzip_etag = text_of(entry, "gz_etag");
    if (file->body == nullptr || file->type.empty() || file->etag.empty()) return false;
    files_[text_of(entry, "path")] = file;
    files_["/" + name] = file;
  }
  return files_.contains("/") && files_.contains("/404.html");
}

Response Pages::answer(const File& file, int status, const Request& request) const {
  const bool zipped = file.gzip_body != nullptr && takes_gzip(request);
  Response response;
  response.status = status;
  response.content_type = file.type;
  response.headers["ETag"] = zipped ? file.gzip_etag : file.etag;
  response.headers["Vary"] = "Accept-Encoding";
  response.headers["Cache-Control"] = file.cache_control;
  if (!file.content_security_policy.empty()) response.headers["Content-Security-Policy"] = file.content_security_policy;
  if (zipped) response.headers["Content-Encoding"] = "gzip";
  if (status == 200 && is_match(request.header("if-none-match"), response.headers["ETag"])) {
    response.status = 304;
    return response;
  }
  response.shared_body = zipped ? file.gzip_body : file.body;
  return response;
}

Response Pages::serve(const Request& request) const {
  if (request.path.starts_with("/api/"))
    return http::problem(404, "not_found", "there is nothing at " + request.path, request);
  if (!is_built()) {
    Response response;
    response.status = request.path == "/" ? 200 : 404;
    response.content_type = "text/plain; charset=utf-8";
    response.body =
        "Aether is running, and its API answers at /api/v1 on this address.\n" + why_not_ +
        "\nTo build it, install nodejs and npm, then run in the source tree:  cd dashboard && npm ci && npm run build"
        "\nand start Aether again.\n";
    return response;
  }
  // "//host/" would be another site in a Location.
  if (request.path.size() > 1 && request.path.ends_with('/') &&
      files_.contains(request.path.substr(0, request.path.size() - 1))) {
    Response response;
    response.status = 308;
    response.content_type = "text/plain; charset=utf-8";
    response.headers["Location"] = request.path.substr(0, request.path.size() - 1) + encode_query(request);
    return response;
  }
  const auto found = files_.find(request.path);
  if (found != files_.end())
    return answer(*found->second, request.path == "/404.html" || request.path == "/404" ? 404 : 200, request);
  return answer(*files_.at("/404.html"), 404, request);
}

}  // namespace aether::api
