#include "http/head.h"

#include <fmt/format.h>

#include <ctime>

namespace aether::http {
namespace {

constexpr std::string_view kSecurityHeaders =
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n";

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[40];
  const std::size_t size = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return std::string(text, size);
}

// A header value made from data must not be able to start another header.
void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (char c : value) out += (c == '\r' || c == '\n' || c == '\0') ? ' ' : c;
  out.append("\r\n");
}

bool allows_body(int status) { return status >= 200 && status != 204 && status != 304; }

}  // namespace

HeadScan scan_head(std::string_view bytes) {
  HeadScan scan;
  std::size_t line_start = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (c == '\0') scan.defect = "a NUL byte in the header";
    if (c == '\r' && i + 1 < bytes.size() && bytes[i + 1] != '\n') scan.defect = "a bare CR in the header";
    if (c == '\n' && (i == 0 || bytes[i - 1] != '\r')) scan.defect = "a line of the header ends with LF alone";
    if (line_start != 0 && i == line_start && (c == ' ' || c == '\t')) scan.defect = "a folded header line";
    if (!scan.defect.empty()) return scan;
    if (c != '\n') continue;
    if (i - line_start == 1 && line_start != 0) {
      scan.end = i + 1;
      break;
    }
    line_start = i + 1;
  }
  const std::string_view line = bytes.substr(0, bytes.find('\r'));
  const std::size_t target = line.find(' ');
  if (target != std::string_view::npos) {
    const std::size_t target_end = line.find(' ', target + 1);
    scan.target_bytes = (target_end == std::string_view::npos ? line.size() : target_end) - target - 1;
  }
  return scan;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 507: return "Insufficient Storage";
    default: return "Unknown";
  }
}

std::string format_head(const Response& response, BodyFraming framing, std::size_t body_bytes, bool keep_alive,
                        const std::string& request_id) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
  head.reserve(768);
  append_header(head, "Date", http_date());
  if (allows_body(response.status)) append_header(head, "Content-Type", response.content_type);
  if (framing == BodyFraming::kChunked) append_header(head, "Transfer-Encoding", "chunked");
  if (framing == BodyFraming::kLength && allows_body(response.status))
    append_header(head, "Content-Length", std::to_string(body_bytes));
  append_header(head, "Connection", keep_alive ? "keep-alive" : "close");
  append_header(head, "X-Request-Id", request_id);
  head += kSecurityHeaders;
  if (!response.headers.contains("Content-Security-Policy"))
    append_header(head, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
  if (!response.headers.contains("Cache-Control")) append_header(head, "Cache-Control", "no-store");
  for (const auto& [name, value] : response.headers) append_header(head, name, value);
  head += "\r\n";
  return head;
}

}  // namespace aether::http
