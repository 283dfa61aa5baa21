#include "http/client.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "http/address.h"

namespace aether::http {
namespace {

constexpr std::size_t kMaxHeaderBytes = 64u << 10;

bool init_curl_once() {
  static const bool ok = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ok;
}

// What the callbacks of one transfer share.
struct Transfer {
  CURL* curl = nullptr;
  ClientResponse response;
  std::size_t header_bytes = 0;
  std::size_t max_reply_bytes = 0;
  bool public_internet_only = false;
  const std::function<bool(std::string_view)>* on_bytes = nullptr;
  bool ended_by_caller = false;
  bool too_long = false;
  bool refused_address = false;
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::size_t on_header(char* data, std::size_t, std::size_t size, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  const std::string_view line(data, size);
  transfer.header_bytes += size;
  if (transfer.header_bytes > kMaxHeaderBytes) {
    transfer.too_long = true;
    return 0;
  }
  if (line.starts_with("HTTP/")) transfer.response.headers.clear();  // after 100 Continue comes the real one
  const std::size_t colon = line.find(':');
  if (colon != std::string_view::npos)
    transfer.response.headers[lower(trimmed(line.substr(0, colon)))] =
        std::string(trimmed(line.substr(colon + 1)));
  return size;
}

int status_of(CURL* curl) {
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  return static_cast<int>(status);
}

std::size_t on_body(char* data, std::size_t, std::size_t size, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  if (transfer.on_bytes != nullptr && status_of(transfer.curl) < 400) {
    transfer.ended_by_caller = !(*transfer.on_bytes)(std::string_view(data, size));
    return transfer.ended_by_caller ? 0 : size;
  }
  if (size > transfer.max_reply_bytes - transfer.response.body.size()) {
    transfer.too_long = true;
    return 0;
  }
  transfer.response.body.append(data, size);
  return size;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  if (transfer.on_bytes == nullptr || transfer.ended_by_caller) return 0;
  transfer.ended_by_caller = !(*transfer.on_bytes)({});
  return transfer.ended_by_caller ? 1 : 0;
}

// The check sits where the socket is made, so it sees the address that the name resolved to in this very
// connection.
curl_socket_t on_open_socket(void* user, curlsocktype, curl_sockaddr* address) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  if (transfer.public_internet_only && !is_public_address(address->addr)) {
    transfer.refused_address = true;
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

bool has_line_break(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

struct HeaderList {
  curl_slist* list = nullptr;
  HeaderList() = default;
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  ~HeaderList() { curl_slist_free_all(list); }
  void add(const std::string& line) { list = curl_slist_append(list, line.c_str()); }
};

}  // namespace

struct Client::State {
  ClientOptions options;
  CURL* curl = nullptr;

  ~State() {
    if (curl != nullptr) curl_easy_cleanup(curl);
  }
  Result<void> fill_headers(HeaderList& out, const std::string& method,
                            const std::map<std::string, std::string>& headers);
  void set_common(Transfer& transfer, const std::string& url);
  void set_body(const std::string& method, const std::string& body);
  Result<ClientResponse> perform(Transfer& transfer, const std::string& url);
  Error explain(CURLcode code, const Transfer& transfer, const std::string& url) const;
};

Client::Client(ClientOptions options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
  while (state_->options.base_url.ends_with('/')) state_->options.base_url.pop_back();
  if (init_curl_once()) state_->curl = curl_easy_init();
}

Client::~Client() = default;

Result<void> Client::State::fill_headers(HeaderList& out, const std::string& method,
                                         const std::map<std::string, std::string>& headers) {
  bool has_content_type = false;
  for (const auto& [name, value] : headers) {
    if (name.empty() || name.find(':') != std::string::npos || has_line_break(name) || has_line_break(value))
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("a request header named '{}' can't be sent", lower(name)));
    has_content_type = has_content_type || lower(name) == "content-type";
    out.add(value.empty() ? name + ";" : name + ": " + value);  // "Name;" is how libcurl sends an empty value
  }
  if (!has_content_type && method != "GET" && method != "HEAD") out.add("Content-Type: application/json");
  if (!options.token.empty()) {
    if (has_line_break(options.token))
      return fail(ErrorCode::kInvalidArgument, "the token contains a line break");
    out.add("Authorization: Bearer " + options.token);
  }
  out.add("Expect:");
  return {};
}

void Client::State::set_common(Transfer& transfer, const std::string& url) {
  curl_easy_reset(curl);  // keeps the connection
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, options.public_internet_only ? "https" : "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "aether");
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  if (transfer.on_bytes == nullptr) {
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout.count()));
    return;
  }
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
}

void Client::State::set_body(const std::string& method, const std::string& body) {
  if (method == "GET") return;
  if (method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    return;
  }
  curl_easy_setopt(curl, CURLOPT_POST, 1L);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, body.c_str());
}

Error Client::State::explain(CURLcode code, const Transfer& transfer, const std::string& url) const {
  const std::string what = fmt::format("{}: {}", url, curl_easy_strerror(code));
  if (transfer.refused_address)
    return {ErrorCode::kPermissionDenied,
            fmt::format("{} leads to an address that is not on the public internet", url)};
  if (transfer.too_long)
    return {ErrorCode::kResourceExhausted,
            fmt::format("the reply of {} is longer than {} bytes", url, transfer.max_reply_bytes)};
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
      if (options.public_internet_only)
        return {ErrorCode::kPermissionDenied, fmt::format("{} is refused: only https is allowed there", url)};
      return {ErrorCode::kInvalidArgument, fmt::format("{} is neither an http nor an https address", url)};
    case CURLE_URL_MALFORMAT:
      return {ErrorCode::kInvalidArgument, fmt::format("'{}' is no address", url)};
    case CURLE_OPERATION_TIMEDOUT: {
      curl_off_t sending_since_us = 0;
      curl_easy_getinfo(curl, CURLINFO_PRETRANSFER_TIME_T, &sending_since_us);
      if (sending_since_us == 0)
        return {ErrorCode::kUnavailable, fmt::format("{}: nobody answers there", url)};
      return {ErrorCode::kTimeout,
              fmt::format("{} did not answer within {} ms", url, options.timeout.count())};
    }
    case CURLE_OUT_OF_MEMORY:
      return {ErrorCode::kInternal, what};
    default:
      return {ErrorCode::kUnavailable, what};
  }
}

Result<ClientResponse> Client::State::perform(Transfer& transfer, const std::string& url) {
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK && !transfer.ended_by_caller) return fail(explain(code, transfer, url));
  transfer.response.status = status_of(curl);
  return std::move(transfer.response);
}

Result<ClientResponse> Client::request(const std::string& method, const std::string& path_and_query,
                                       const std::string& body,
                                       const std::map<std::string, std::string>& headers) {
  if (state_->curl == nullptr) return fail(ErrorCode::kInternal, "libcurl can't be started");
  const std::string url = state_->options.base_url + path_and_query;
  Transfer transfer;
  transfer.curl = state_->curl;
  transfer.max_reply_bytes = state_->options.max_reply_bytes;
  transfer.public_internet_only = state_->options.public_internet_only;
  HeaderList list;
  AETHER_TRY(state_->fill_headers(list, method, headers));
  state_->set_common(transfer, url);
  state_->set_body(method, body);
  curl_easy_setopt(state_->curl, CURLOPT_HTTPHEADER, list.list);
  return state_->perform(transfer, url);
}

Result<ClientResponse> Client::stream(const std::string& path_and_query,
                                      const std::function<bool(std::string_view)>& on_bytes) {
  if (state_->curl == nullptr) return fail(ErrorCode::kInternal, "libcurl can't be started");
  const std::string url = state_->options.base_url + path_and_query;
  Transfer transfer;
  transfer.curl = state_->curl;
  transfer.max_reply_bytes = state_->options.max_reply_bytes;
  transfer.public_internet_only = state_->options.public_internet_only;
  transfer.on_bytes = &on_bytes;
  HeaderList list;
  AETHER_TRY(state_->fill_headers(list, "GET", {}));
  state_->set_common(transfer, url);
  curl_easy_setopt(state_->curl, CURLOPT_HTTPHEADER, list.list);
  return state_->perform(transfer, url);
}

std::string url_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x80 && std::isalnum(byte) != 0) ||
        std::string_view("-._~").find(c) != std::string_view::npos)
      out += c;
    else
      out += fmt::format("%{:02X}", byte);
  }
  return out;
}

}  // namespace aether::http
