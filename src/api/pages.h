#pragma once
// The dashboard's exported files, read once at start. A request never becomes a file path: names are looked up in a map
// made from assets.json.
#include <memory>
#include <string>
#include <unordered_map>

#include "http/server.h"

namespace aether::api {

class Pages {
 public:
  // A directory without assets.json gives a plain page at "/" that says how to build the dashboard.
  explicit Pages(const std::string& directory);

  http::Response serve(const http::Request& request) const;
  bool is_built() const { return !files_.empty(); }

 private:
  struct File {
    std::string type;
    std::string cache_control;
    std::string content_security_policy;                 // empty: the server's default
    std::shared_ptr<const std::string> body, gzip_body;  // gzip_body may be null
    std::string etag, gzip_etag;
  };
  bool load(const std::string& directory);
  http::Response answer(const File& file, int status, const http::Request& request) const;

  std::unordered_map<std::string, std::shared_ptr<const File>> files_;  // by request path
  std::string why_not_;
};

}  // namespace aether::api
