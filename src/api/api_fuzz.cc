// Requests that are good HTTP and mean anything: the first line of the input is "METHOD TARGET", the rest is the body.
// The API over a fake orchestrator answers without 5xx, and with JSON where it says so.
#include <nlohmann/json.hpp>

#include "api/api.h"
#include "api/fake_control.h"
#include "api/fake_store.h"
#include "http/fuzz_server.h"

namespace {

using namespace aether;

struct Served {
  api::FakeControl control;
  api::FakeStore store;
  ManualClock clock{Time(std::chrono::hours(24 * 365 * 56))};
  Api api;
  std::unique_ptr<http::Server> server = http::make_fuzz_server();

  Served() : api(control, &store, clock, options()) {
    api.register_on(*server, true);
    api.start();
    server->start();
  }
  static ApiOptions options() {
    ApiOptions out;
    out.version = "0.1.0";
    JobSpec demonstration;
    demonstration.argv = {"sleep", "5"};
    out.job_types.emplace("training", demonstration);
    return out;
  }
};

void check_body(const std::string& answer) {
  const std::size_t end = answer.find("\r\n\r\n");
  if (end == std::string::npos || answer.find("Content-Type: application/json") > end) return;
  if (answer.find("Transfer-Encoding: chunked") < end || answer.find("Content-Length") > end) return;
  AETHER_ASSERT(!nlohmann::json::parse(answer.substr(end + 4), nullptr, false).is_discarded());
}

bool is_one_word(std::string_view text) {
  return !text.empty() && text.find_first_of(std::string_view(" \t\r\n\0", 5)) == std::string_view::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Served* const served = new Served;  // its threads live as long as the process
  const std::string_view text = fuzz::text_of(data, size);
  const std::size_t line = std::min(text.find('\n'), text.size()), space = text.find(' ');
  if (space >= line) return 0;
  const std::string_view method = text.substr(0, space), target = text.substr(space + 1, line - space - 1);
  const std::string_view body = text.substr(std::min(line + 1, text.size()));
  // HEAD has no body to look at, and a stream of logs or samples has no end.
  if (!is_one_word(method) || !is_one_word(target) || method == "HEAD" || target.find("follow") != std::string_view::npos) return 0;
  const std::string answer = http::exchange(
      *served->server, std::string(method) + " " + std::string(target) +
                           " HTTP/1.1\r\nHost: @HOST\r\nConnection: close\r\nAuthorization: Bearer aeth_fuzz\r\n"
                           "Content-Type: application/json\r\nContent-Length: " +
                           std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
  http::check_answers(answer.substr(0, answer.find("\r\n\r\n")));
  check_body(answer);
  return 0;
}
