#pragma once
// A whole Aether of one node with simulated GPUs, in a folder of its own: embedded (`aether up`, SQLite) or a cluster (real
// nats-server, real PostgreSQL, AI core, orchestrator and agent as processes). Tests say the same words to both.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "http/client.h"
#include "process.h"

namespace aether::e2e {

using Json = nlohmann::json;

enum class Mode { kEmbedded, kCluster };
inline std::string to_string(Mode mode) { return mode == Mode::kEmbedded ? "Embedded" : "Cluster"; }

// Name of a part: one more agent of a cluster, on node n2. Started by the test that wants it.
inline constexpr const char* kSecondAgent = "agent2";

class PostgresServer;
class NatsServer;

// How a part is started, beyond what every part gets.
struct PartOptions {
  std::vector<std::string> prefix;                 // of the command line: strace, faketime, ip netns
  std::vector<std::string> flags;                  // after it
  std::map<std::string, std::string> environment;  // wins
};
struct SystemOptions {
  std::string nats_host = "127.0.0.1";
  std::string state_directory;  // empty: in the system's own folder
  std::string gpus;             // the setting; empty: simulated ones
  std::map<std::string, PartOptions> parts;
};

class System {
 public:
  // Null when a service is not installed: `why` says which (a failure where CI is set).
  static std::unique_ptr<System> start(Mode mode, int gpus, std::string& why, SystemOptions options = {});
  ~System();

  // Parts by name: "orchestrator" and "agent" (the same process when embedded), "ai-core".
  void kill_part(const std::string& part);   // SIGKILL
  void start_part(const std::string& part);  // again, on the addresses it had; waits until it serves
  bool try_start_part(const std::string& part);  // the same; false when it ends instead
  void signal_part(const std::string& part, int number);
  // The exit code of a part that has ended (128 + signal when killed), nothing while it runs.
  std::optional<int> exit_of(const std::string& part) { return wait_exit(part, 0); }
  std::optional<int> wait_exit(const std::string& part, double timeout_s);
  void set_options(const std::string& part, PartOptions options) { options_.parts[part] = std::move(options); }

  // The servers of a cluster. False when one does not come back.
  void stop_nats();
  bool start_nats();
  void freeze_nats();
  void thaw_nats();
  void stop_database();  // at once, as a crash
  bool start_database();

  // The API. `body` null = none. Retries only while nothing listens.
  http::ClientResponse request(const std::string& method, const std::string& path, const Json& body = nullptr,
                               bool with_token = true);
  Json get(const std::string& path);
  Json items(const std::string& path) { return get(path).value("items", Json::array()); }
  Json get_ai(const std::string& path, const Json& body);
  // Submits and returns the job's id.
  std::string submit(const Json& spec);
  Json job(const std::string& id);
  std::string log(const std::string& id, const std::string& stream = "stdout");
  // Waits until the predicate holds for the job; fails the test after `timeout_s`.
  Json wait_for(const std::string& id, const std::function<bool(const Json&)>& holds, double timeout_s = 60);
  Json wait_ended(const std::string& id, double timeout_s = 120);
  Json wait_running(const std::string& id);
  void wait_for_gpus(std::size_t count);

  // `aether ARGS...` against this system.
  Output cli(std::vector<std::string> arguments);

  const std::string& folder() const { return folder_; }       // jobs may write into it
  const std::string& token() const { return token_; }
  const std::string& metrics_url() const { return metrics_; }  // the agent's
  const std::string& api_url() const { return api_; }
  const std::string& state_directory() const { return state_; }  // of all parts but the second agent
  std::string nats_url() const;
  std::string database_url() const;
  std::string dashboard_url() const { return dashboard_; }
  std::string ai_url() const { return ai_; }
  Mode mode() const { return mode_; }

 private:
  System(Mode mode, int gpus, SystemOptions options);
  bool start_services(std::string& why);
  std::vector<std::string> command(const std::string& role) const;
  Json wait_ready(const std::string& part);
  // What a sanitizer said in the log of a part that has ended is a failure.
  void expect_no_report(const std::string& key) const;
  std::string second_state_directory() const { return state_ + "-n2"; }
  std::string log_path(const std::string& part) const { return folder_ + "/" + part + ".log"; }

  std::string key_of(const std::string& part) const { return mode_ == Mode::kEmbedded ? "orchestrator" : part; }

  const Mode mode_;
  const int gpus_;
  SystemOptions options_;
  std::string folder_, state_, token_, api_, dashboard_, ai_, metrics_;
  std::unique_ptr<NatsServer> nats_;
  std::unique_ptr<PostgresServer> postgres_;
  std::map<std::string, std::unique_ptr<Process>> parts_;
};

bool is_terminal(const Json& job);

}  // namespace aether::e2e
