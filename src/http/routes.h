#pragma once
// Which handler a method and a path belong to. Filled before the server starts, then only read.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/server.h"

namespace aether::http {

// Percent-decodes once. kInvalidArgument for a broken escape or a NUL byte.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space);

struct Target {
  std::string authority;              // of an absolute-form target, else empty
  std::string path;                   // decoded as a whole
  std::vector<std::string> segments;  // split first, then decoded: "%2F" does not separate
  std::map<std::string, std::string> query;
};
// origin-form "/a/b?x=1" or absolute-form "http://host/a". A fragment or a control character is refused.
Result<Target> parse_target(std::string_view text);

struct Endpoint {
  Access access = Access::kRead;
  Run run = Run::kWorker;
  Handler handler;  // exactly one of these three is set
  AsyncHandler async_handler;
  std::optional<SocketHandlers> socket;
};

class RouteTable {
 public:
  void add(const std::string& method, const std::string& pattern, Endpoint endpoint);

  struct Match {
    const Endpoint* endpoint = nullptr;  // null: the path is unknown, or `allow` says which methods it has
    std::map<std::string, std::string> params;
    std::string allow;  // "GET, HEAD"; empty when the path is unknown
  };
  Match find(const std::string& method, const std::vector<std::string>& segments) const;
  std::vector<RouteInfo> list() const;

 private:
  struct Pattern {
    std::string text;
    std::vector<std::string> segments;          // "{id}" is a parameter
    std::string rank;                           // 'a' literal, 'b' parameter: the smaller, the more specific
    std::map<std::string, Endpoint> endpoints;  // by method
  };
  std::vector<Pattern> patterns_;  // sorted by rank
};

}  // namespace aether::http
