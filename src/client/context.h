#pragma once
// What every verb is given: the global options, the two streams, and the API of one server. Internal to the
// module.
#include <chrono>
#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/endpoint.h"
#include "client/format.h"
#include "client/json_view.h"
#include "client/outcome.h"
#include "client/table.h"
#include "http/client.h"

namespace aether::client {

struct GlobalOptions {
  std::string server, token_file, state_dir;
  std::string output = "table";  // table, wide, json, csv, name
  std::string timeout;           // of one request; empty = 30 s
  bool parsable = false, json = false, no_headers = false, quiet = false, utc = false, no_color = false;
};

enum class Output { kTable, kWide, kJson, kCsv, kName, kId };

class Context {
 public:
  Context(GlobalOptions options, std::ostream& out, std::ostream& err);
  ~Context();

  const GlobalOptions& options() const { return options_; }
  Output output() const;
  Zone zone() const { return options_.utc ? Zone::kUtc : Zone::kLocal; }
  bool out_is_terminal() const { return out_is_terminal_; }
  bool err_is_terminal() const { return err_is_terminal_; }
  bool colours() const { return out_is_terminal_ && !options_.no_color; }
  TableStyle table_style() const;
  Time now() const;

  std::ostream& out() { return out_; }
  std::ostream& err() { return err_; }
  // "aether: ..." on stderr.
  void say(const std::string& message);
  void print_failure(const Failure& failure);

  // Found once, at the first use.
  Outcome<Connection> connection();
  // The parsed reply of a request that succeeded; any other reply is a Failure. Sends the token when there is
  // one.
  Outcome<Json> get(const std::string& path);
  Outcome<Json> send(const std::string& method, const std::string& path, const Json* body = nullptr,
                     const std::map<std::string, std::string>& headers = {});
  // The last reply's body as it came: what -o json prints.
  const std::string& last_body() const { return last_body_; }
  void print_last_body();
  Outcome<http::ClientResponse> get_raw(const std::string& path);
  Outcome<http::ClientResponse> stream(const std::string& path,
                                       const std::function<bool(std::string_view)>& on_bytes);

 private:
  Outcome<http::Client*> client();
  Outcome<http::ClientResponse> request(const std::string& method, const std::string& path,
                                        const std::string& body,
                                        const std::map<std::string, std::string>& headers);
  Failure transport_failure(const Error& error) const;
  Failure with_token_hint(Failure failure) const;

  GlobalOptions options_;
  std::ostream& out_;
  std::ostream& err_;
  bool out_is_terminal_ = false, err_is_terminal_ = false;
  std::optional<Connection> connection_;
  std::unique_ptr<http::Client> client_;
  std::string last_body_;
};

// "/api/v1/jobs/<job>" with the reference percent-encoded.
std::string job_path(const std::string& job);

// Ctrl-C and SIGTERM during a verb that waits: counted instead of killing the process, while one of these
// lives.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  static int count();

 private:
  struct State;
  std::unique_ptr<State> state_;
};
// Sleeps, at most until the next interrupt. False when interrupted.
bool sleep_unless_interrupted(std::chrono::milliseconds duration);

}  // namespace aether::client
