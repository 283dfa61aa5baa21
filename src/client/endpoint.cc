#include "client/endpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/secret.h"

namespace aether::client {
namespace {

using Json = nlohmann::json;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string home_directory() {
  if (const std::string home = environment("HOME"); !home.empty()) return home;
  const passwd* entry = getpwuid(geteuid());
  return entry == nullptr ? std::string("/") : std::string(entry->pw_dir);
}

std::string normalised(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  std::transform(url.begin(), url.end(), url.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return url;
}

bool stays_on_this_machine(const std::string& url) {
  const std::string lower = normalised(url);
  const std::size_t start = lower.find("://");
  if (start == std::string::npos) return false;
  std::string host = lower.substr(start + 3, lower.find('/', start + 3) - start - 3);
  if (host.find('@') != std::string::npos) return false;
  if (host.starts_with("[::1]")) return host.size() == 5 || host[5] == ':';
  host = host.substr(0, host.find(':'));
  return host == "localhost" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

bool looks_like_a_token(const std::string& text) {
  return text.size() >= 5 + 32 && text.size() <= 256 && text.starts_with("aeth_") &&
         std::all_of(text.begin() + 5, text.end(), [](unsigned char c) { return std::isalnum(c) != 0; });
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

Result<std::string> open_error(const std::string& path) {
  const int code = errno;
  const ErrorCode kind = code == ENOENT                    ? ErrorCode::kNotFound
                         : code == EACCES || code == ELOOP ? ErrorCode::kPermissionDenied
                                                           : ErrorCode::kIo;
  return fail(kind, fmt::format("reading the token file {}: {}", path, std::strerror(code)));
}

Result<Connection> with_named_token(Connection connection, const std::string& token_file) {
  auto token = read_token(token_file);
  if (!token) return fail(std::move(token).error());
  if (!normalised(connection.api).starts_with("https://") && !stays_on_this_machine(connection.api))
    return fail(ErrorCode::kPermissionDenied,
                fmt::format("{} would carry the token in plain text; give an https address", connection.api));
  connection.token = std::move(*token);
  connection.token_file = token_file;
  return connection;
}

}  // namespace

std::string state_directory(const std::string& option) {
  if (!option.empty()) return option;
  if (std::string named = environment("AETHER_STATE_DIR"); !named.empty()) return named;
  if (geteuid() == 0) return "/var/lib/aether";
  const std::string xdg = environment("XDG_STATE_HOME");
  return (xdg.empty() ? home_directory() + "/.local/state" : xdg) + "/aether";
}

std::string token_path(const std::string& state_dir) { return state_dir + "/token"; }
std::string endpoint_path(const std::string& state_dir) { return state_dir + "/endpoint.json"; }

Result<void> write_endpoint(const std::string& state_dir, const Endpoint& endpoint) {
  AETHER_TRY(make_private_directory(state_dir));
  const Json json{{"api", endpoint.api}, {"dashboard", endpoint.dashboard}, {"pid", endpoint.pid}};
  return write_file_durably(endpoint_path(state_dir),
                            json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

Result<void> remove_endpoint(const std::string& state_dir) {
  const std::string path = endpoint_path(state_dir);
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail(ErrorCode::kIo, fmt::format("removing {}: {}", path, std::strerror(errno)));
  return {};
}

Result<std::string> ensure_token(const std::string& state_dir) {
  const std::string path = token_path(state_dir);
  auto present = read_token(path);
  if (present || present.error().code != ErrorCode::kNotFound) return present;
  AETHER_TRY(make_private_directory(state_dir));
  std::string token = "aeth_" + random_hex(32);
  AETHER_TRY(write_file_durably(path, token + "\n", 0600));
  return token;
}

Result<Endpoint> read_endpoint(const std::string& state_dir) {
  const std::string path = endpoint_path(state_dir);
  const auto content = read_file(path);
  if (!content) return fail(content.error());
  const Json json = Json::parse(*content, nullptr, false);
  if (!json.is_object() || !json.contains("api") || !json["api"].is_string())
    return fail(ErrorCode::kCorrupt,
                fmt::format("{} holds no address; restart the orchestrator or remove the file", path));
  Endpoint endpoint{json["api"].get<std::string>(), {}, 0};
  if (const auto it = json.find("dashboard"); it != json.end() && it->is_string())
    endpoint.dashboard = it->get<std::string>();
  if (const auto it = json.find("pid"); it != json.end() && it->is_number_integer())
    endpoint.pid = it->get<int>();
  return endpoint;
}

Result<std::string> read_token(const std::string& path) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  if (file.fd < 0) return open_error(path);
  struct stat info {};
  if (fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode))
    return fail(ErrorCode::kCorrupt, fmt::format("{} is no regular file", path));
  if ((info.st_mode & 077) != 0)
    return fail(ErrorCode::kPermissionDenied,
                fmt::format("others can read the token file {0} (mode {1:04o}); run: chmod 600 {0}", path,
                            info.st_mode & 07777));
  char bytes[512];
  const ssize_t size = read(file.fd, bytes, sizeof bytes);
  std::string token(bytes, size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!token.empty() && std::isspace(static_cast<unsigned char>(token.back())) != 0) token.pop_back();
  if (!looks_like_a_token(token))
    return fail(ErrorCode::kCorrupt, fmt::format("{} holds no token (aeth_ and hexadecimal digits)", path));
  return token;
}

Result<Connection> find_connection(const ConnectionRequest& request) {
  const std::string state_dir = state_directory(request.state_dir);
  const auto endpoint = read_endpoint(state_dir);
  Connection connection;
  connection.token_file = token_path(state_dir);
  if (!request.server.empty())
    connection.api = request.server;
  else
    connection.api = endpoint ? endpoint->api : kDefaultServer;
  const bool recorded = endpoint && (normalised(connection.api) == normalised(endpoint->api) ||
                                     normalised(connection.api) == normalised(endpoint->dashboard));
  if (recorded) connection.dashboard = endpoint->dashboard;
  if (!request.token_file.empty()) return with_named_token(std::move(connection), request.token_file);
  if (!recorded) {
    connection.no_token_because =
        endpoint ? fmt::format("the token in {} belongs to {}, not to {}; name one with --token-file",
                               state_dir, endpoint->api, connection.api)
                 : fmt::format("{}, so no token belongs to {}; give --state-dir or --token-file",
                               endpoint.error().message, connection.api);
    return connection;
  }
  auto token = read_token(connection.token_file);
  if (token)
    connection.token = std::move(*token);
  else
    connection.no_token_because = token.error().message;
  return connection;
}

}  // namespace aether::client
