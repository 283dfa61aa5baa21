#include "apps/listener.h"

#include <algorithm>

#include <fmt/format.h>

#include "client/endpoint.h"

namespace aether::apps {
namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> out;
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t comma = std::min(text.find(',', start), text.size());
    if (comma > start) out.push_back(text.substr(start, comma - start));
    start = comma + 1;
  }
  return out;
}

}  // namespace

http::ServerOptions listener(const Settings& settings, const std::string& name, const std::string& setting,
                             const std::string& listen, const std::string& token) {
  http::ServerOptions options;
  options.name = name;
  options.setting = setting;
  options.listen = listen;
  options.allowed_hosts = split(settings.allowed_hosts);
  if (!token.empty()) options.tokens = {{http::sha256_hex(token), "admin"}};
  options.anonymous_reads = settings.anonymous_reads;
  options.token_hint = fmt::format("the token is in {}; send it as 'Authorization: Bearer TOKEN'. The aether command reads it by itself",
                                   client::token_path(settings.state_dir));
  return options;
}

}  // namespace aether::apps
