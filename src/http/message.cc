// Request and Response helpers, and the problem documents of RFC 9457.
#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "http/head.h"
#include "http/server.h"

namespace aether::http {
namespace {

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80             ? 1
                               : (lead & 0xe0) == 0xc0 ? 2
                               : (lead & 0xf0) == 0xe0 ? 3
                               : (lead & 0xf8) == 0xf0 ? 4
                                                       : 0;
    if (length == 0 || lead == 0xc0 || lead == 0xc1 || lead > 0xf4 || i + length > text.size()) return false;
    for (std::size_t k = 1; k < length; ++k)
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    i += length;
  }
  return true;
}

// A problem text may quote bytes of the request, which need not be UTF-8: then they are shown as single characters.
std::string quote(std::string_view text) {
  const bool keep_bytes = is_utf8(text);
  std::string out = "\"";
  for (char character : text) {
    const auto c = static_cast<unsigned char>(character);
    if (c == '"' || c == '\\') out += '\\';
    if (c < 0x20 || c == 0x7f || (c >= 0x80 && !keep_bytes))
      out += fmt::format("\\u{:04x}", c);
    else
      out += character;
  }
  return out + '"';
}

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return 422;
    case ErrorCode::kNotFound: return 404;
    case ErrorCode::kConflict: return 409;
    case ErrorCode::kPermissionDenied: return 403;
    case ErrorCode::kUnauthenticated: return 401;
    case ErrorCode::kResourceExhausted: return 429;
    case ErrorCode::kUnavailable: return 503;
    case ErrorCode::kTimeout: return 504;
    case ErrorCode::kUnsupported: return 501;
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:
    case ErrorCode::kInternal: return 500;
  }
  return 500;
}

// "host_not_allowed" as "Host not allowed".
std::string title_of(std::string code) {
  for (char& c : code)
    if (c == '_') c = ' ';
  if (!code.empty() && code[0] >= 'a' && code[0] <= 'z') code[0] = static_cast<char>(code[0] - 'a' + 'A');
  return code;
}

Response make_problem(int status, const std::string& code, const std::string& detail, const std::string& pointer,
                      const Request& request, const std::string& hint) {
  std::string body = fmt::format(
      R"({{"type":{},"title":{},"status":{},"detail":{},"instance":{},"code":{},"request_id":{},"errors":[)",
      quote("urn:aether:problem:" + code), quote(title_of(code)), status, quote(detail), quote(request.path),
      quote(code), quote(request.request_id));
  if (!pointer.empty())
    body += fmt::format(R"({{"pointer":{},"code":{},"message":{}}})", quote(pointer), quote(code), quote(detail));
  body += "]";
  if (!hint.empty()) body += ",\"hint\":" + quote(hint);
  body += "}";
  Response response;
  response.status = status;
  response.content_type = "application/problem+json";
  response.body = std::move(body);
  if (status == 429 || status == 503) response.headers["Retry-After"] = "1";
  return response;
}

}  // namespace

std::string Request::header(const std::string& lower_case_name) const {
  const auto found = headers.find(lower_case_name);
  return found == headers.end() ? std::string() : found->second;
}

std::optional<std::string> Request::query_value(const std::string& key) const {
  const auto found = query.find(key);
  if (found == query.end()) return std::nullopt;
  return found->second;
}

Response problem(const Error& error, const Request& request, std::string hint) {
  return make_problem(status_of(error.code), std::string(to_string(error.code)), error.message, error.field, request,
                      hint);
}

Response problem(int status, std::string code, std::string detail, const Request& request, std::string hint) {
  return make_problem(status, code, detail, {}, request, hint);
}

Response problem(int status, std::string code, const Error& error, const Request& request, std::string hint) {
  return make_problem(status, code, error.message, error.field, request, hint);
}

Response json(int status, std::string body) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

std::string sha256_hex(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace aether::http
