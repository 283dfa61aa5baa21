#include "client/context.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/quantity.h"
#include "client/terminal.h"

namespace aether::client {
namespace {

std::atomic<int> interrupt_count{0};

extern "C" void count_interrupt(int) { interrupt_count.fetch_add(1, std::memory_order_relaxed); }

bool is_write(const std::string& method) { return method != "GET" && method != "HEAD"; }

}  // namespace

Context::Context(GlobalOptions options, std::ostream& out, std::ostream& err)
    : options_(std::move(options)), out_(out), err_(err) {
  out_is_terminal_ = &out == &std::cout && is_terminal(STDOUT_FILENO);
  err_is_terminal_ = &err == &std::cerr && is_terminal(STDERR_FILENO);
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') options_.no_color = true;
}

Context::~Context() = default;

Output Context::output() const {
  if (options_.json || options_.output == "json") return Output::kJson;
  if (options_.output == "csv") return Output::kCsv;
  if (options_.quiet) return Output::kId;
  if (options_.output == "name") return Output::kName;
  return options_.output == "wide" ? Output::kWide : Output::kTable;
}

TableStyle Context::table_style() const {
  TableStyle style{.width = 0, .headers = !options_.no_headers, .colours = colours(), .parsable = options_.parsable};
  if (out_is_terminal_ && output() != Output::kWide) style.width = terminal_width(STDOUT_FILENO, 120);
  return style;
}

Time Context::now() const { return SystemClock().now(); }

void Context::say(const std::string& message) { err_ << "aether: " << visible(message) << std::endl; }

void Context::print_failure(const Failure& failure) {
  if (output() == Output::kJson && !failure.problem.empty()) {
    err_ << failure.problem << std::endl;
    return;
  }
  std::string_view rest = failure.message;
  bool first = true;
  while (!rest.empty()) {  // line by line: the breaks are ours, everything else may be the server's
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    err_ << (first ? "aether: " : "  ") << visible(rest.substr(0, end)) << "\n";
    rest.remove_prefix(std::min(end + 1, rest.size()));
    first = false;
  }
  if (!failure.hint.empty()) err_ << "  " << visible(failure.hint) << "\n";
  err_.flush();
}

Outcome<Connection> Context::connection() {
  if (connection_) return *connection_;
  auto found = find_connection({options_.server, options_.token_file, options_.state_dir});
  if (!found) {
    const int code =
        found.error().code == ErrorCode::kNotFound ? kNotPermitted : exit_code_for_error(found.error().code);
    return failed(code, found.error().message);
  }
  connection_ = std::move(*found);
  return *connection_;
}

Outcome<http::Client*> Context::client() {
  if (client_) return client_.get();
  auto where = connection();
  if (!where) return failed(std::move(where).error());
  http::ClientOptions options{.base_url = where->api, .token = where->token};
  if (!options_.timeout.empty()) {
    const auto timeout = parse_duration(options_.timeout);
    if (!timeout) return failed(kUsage, "--timeout: " + timeout.error().message);
    options.timeout = *timeout;
  }
  client_ = std::make_unique<http::Client>(std::move(options));
  return client_.get();
}

Failure Context::transport_failure(const Error& error) const {
  if (error.code == ErrorCode::kUnavailable)
    return {kUnreachable, fmt::format("no Aether at {}; start one with `aether up`", connection_->api),
            error.message};
  return {exit_code_for_error(error.code), error.message};
}

Failure Context::with_token_hint(Failure failure) const {
  if (failure.exit_code == kNotPermitted && connection_->token.empty())
    failure.hint = connection_->no_token_because;
  return failure;
}

Outcome<http::ClientResponse> Context::request(const std::string& method, const std::string& path,
                                               const std::string& body,
                                               const std::map<std::string, std::string>& headers) {
  auto http_client = client();
  if (!http_client) return failed(std::move(http_client).error());
  if (is_write(method) && connection_->token.empty())
    return failed(kNotPermitted, "this needs the token: " + connection_->no_token_because);
  auto response = (*http_client)->request(method, path, body, headers);
  if (!response) return failed(transport_failure(response.error()));
  if (response->status >= 400)
    return failed(with_token_hint(failure_of_reply(response->status, response->body)));
  return std::move(*response);
}

Outcome<http::ClientResponse> Context::get_raw(const std::string& path) {
  return request("GET", path, {}, {});
}

Outcome<Json> Context::get(const std::string& path) { return send("GET", path); }

Outcome<Json> Context::send(const std::string& method, const std::string& path, const Json* body,
                            const std::map<std::string, std::string>& headers) {
  auto response = request(method, path, body == nullptr ? std::string() : dump_json(*body), headers);
  if (!response) return failed(std::move(response).error());
  last_body_ = std::move(response->body);
  Json json = parse_json(last_body_);
  if (json.is_discarded())
    return failed(kFailure, fmt::format("{}{} gave an answer that is no JSON; is that an Aether API?",
                                        connection_->api, path));
  return json;
}

void Context::print_last_body() {
  out_ << last_body_;
  if (!last_body_.ends_with('\n')) out_ << "\n";
}

Outcome<http::ClientResponse> Context::stream(const std::string& path,
                                              const std::function<bool(std::string_view)>& on_bytes) {
  auto http_client = client();
  if (!http_client) return failed(std::move(http_client).error());
  auto response = (*http_client)->stream(path, on_bytes);
  if (!response) return failed(transport_failure(response.error()));
  if (response->status >= 400)
    return failed(with_token_hint(failure_of_reply(response->status, response->body)));
  return std::move(*response);
}

std::string job_path(const std::string& job) { return "/api/v1/jobs/" + http::url_encode(job); }

struct InterruptGuard::State {
  struct sigaction old_interrupt {
  }, old_terminate{};
};

InterruptGuard::InterruptGuard() : state_(std::make_unique<State>()) {
  interrupt_count = 0;
  struct sigaction action {};
  action.sa_handler = count_interrupt;  // no SA_RESTART: a waiting call ends
  sigaction(SIGINT, &action, &state_->old_interrupt);
  sigaction(SIGTERM, &action, &state_->old_terminate);
}

InterruptGuard::~InterruptGuard() {
  sigaction(SIGINT, &state_->old_interrupt, nullptr);
  sigaction(SIGTERM, &state_->old_terminate, nullptr);
}

int InterruptGuard::count() { return interrupt_count.load(std::memory_order_relaxed); }

bool sleep_unless_interrupted(std::chrono::milliseconds duration) {
  const int before = InterruptGuard::count();
  const auto until = std::chrono::steady_clock::now() + duration;
  while (InterruptGuard::count() == before) {
    const auto rest =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (rest.count() <= 0) return true;
    poll(nullptr, 0, static_cast<int>(std::min<std::int64_t>(rest.count(), 200)));
  }
  return false;
}

}  // namespace aether::client
