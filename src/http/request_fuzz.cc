// Any bytes on a connection of the real server: requests, several in a row, bodies, chunks. It answers, or hangs up, and
// never with 5xx.
#include "http/fuzz_server.h"

namespace {

using namespace aether;

std::unique_ptr<http::Server> start() {
  auto server = http::make_fuzz_server();
  server->route("GET", "/jobs/{id}", http::Access::kRead, http::Run::kInline,
                [](const http::Request& request) { return http::json(200, "\"" + std::to_string(request.query.size()) + "\""); });
  server->route("POST", "/jobs", http::Access::kWrite, http::Run::kInline,
                [](const http::Request& request) { return http::json(201, std::to_string(request.body.size())); });
  server->start();
  return server;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto server = start();
  http::check_answers(http::exchange(*server, std::string(fuzz::text_of(data, size))));
  return 0;
}
