#pragma once
// Where the orchestrator of a state directory listens, and its token. The services write these two files, the
// CLI reads them: `<state dir>/endpoint.json` (addresses) and `<state dir>/token` (mode 0600, "aeth_<64 hex
// digits>").
#include <string>

#include "base/result.h"

namespace aether::client {

struct Endpoint {
  std::string api;        // "http://127.0.0.1:8080"
  std::string dashboard;  // "http://127.0.0.1:3000"; empty when no dashboard is served
  int pid = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

inline constexpr const char* kDefaultServer = "http://127.0.0.1:8080";

// `option` when not empty, else AETHER_STATE_DIR, else /var/lib/aether as root, else $XDG_STATE_HOME/aether,
// else
// ~/.local/state/aether.
std::string state_directory(const std::string& option);
std::string token_path(const std::string& state_dir);
std::string endpoint_path(const std::string& state_dir);

// For the services.
Result<void> write_endpoint(const std::string& state_dir, const Endpoint& endpoint);
Result<void> remove_endpoint(const std::string& state_dir);
// The token of the state directory; made from 256 random bits when there is none yet.
Result<std::string> ensure_token(const std::string& state_dir);

// kNotFound when no orchestrator has written one.
Result<Endpoint> read_endpoint(const std::string& state_dir);
// kPermissionDenied when group or others may read it (the message holds the chmod), kCorrupt when it is no
// token.
Result<std::string> read_token(const std::string& path);

struct ConnectionRequest {
  std::string server;      // as the user gave it; empty = discover
  std::string token_file;  // as the user gave it; empty = discover
  std::string state_dir;   // as the user gave it; empty = discover
};
struct Connection {
  std::string api;
  std::string dashboard;
  std::string token;       // empty: reads only
  std::string token_file;  // where the token came from, or would have
  std::string no_token_because;
};
// A discovered token goes only to the address recorded beside it; a token file that the user names goes to
// the server that the user names, over plain HTTP only when that is on this machine.
Result<Connection> find_connection(const ConnectionRequest& request);

}  // namespace aether::client
