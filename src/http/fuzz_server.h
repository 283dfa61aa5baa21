#pragma once
// For fuzz targets: one real server on loopback and clients that send it any bytes.
#include <sys/socket.h>

#include <memory>
#include <string>

#include "fuzz.h"
#include "http/raw_client.h"
#include "http/server.h"

namespace aether::http {

inline std::unique_ptr<Server> make_fuzz_server() {
  ServerOptions options;
  options.tokens = {{sha256_hex("aeth_fuzz"), "admin"}};
  options.workers = 1;
  options.limits.header_timeout = options.limits.body_timeout = std::chrono::milliseconds(500);
  options.limits.body_bytes = 4096;
  auto server = Server::open(options);
  AETHER_ASSERT(server);
  return std::move(*server);
}

// Sends `bytes` and the end of the stream, and returns what comes back before a silence of `patience`. "@HOST" stands for
// the server's address, so that a corpus can name a host that is allowed.
inline std::string exchange(const Server& server, std::string bytes,
                            std::chrono::milliseconds patience = std::chrono::seconds(10)) {
  for (std::size_t at; (at = bytes.find("@HOST")) != std::string::npos;) bytes.replace(at, 5, server.address());
  RawClient client(server.address());
  AETHER_ASSERT(client.is_connected());
  client.set_patience(patience);
  client.send(bytes);
  client.finish_sending();
  return client.receive_all();
}

// The first answer on the connection is one that a client may see for wrong input: no 5xx.
inline void check_answers(std::string_view answers) {
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  if (answers.starts_with(kContinue)) answers.remove_prefix(kContinue.size());
  AETHER_ASSERT(answers.empty() || answers.starts_with("HTTP/1.1 "));
  AETHER_ASSERT(!answers.starts_with("HTTP/1.1 5"));
}

}  // namespace aether::http
