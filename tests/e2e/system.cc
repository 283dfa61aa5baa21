#include "system.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include "bus/nats/test_server.h"
#include "store/postgres/test_server.h"

namespace aether::e2e {
namespace {

using std::chrono::steady_clock;

bool until(double timeout_s, const std::function<bool()>& holds) {
  const auto deadline = steady_clock::now() + std::chrono::duration<double>(timeout_s);
  while (!holds()) {
    if (steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

// The first system trains the model that all others of this process start with: training takes most of a start.
class TrainedModel {
 public:
  ~TrainedModel() {
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }
  void keep(const std::string& state) {
    if (!folder_.empty() || !std::filesystem::exists(state + "/models/current")) return;
    char pattern[] = "/tmp/aether-model-XXXXXX";
    folder_ = mkdtemp(pattern);
    std::filesystem::copy(state + "/models", folder_, std::filesystem::copy_options::recursive);
  }
  void give(const std::string& state) const {
    if (folder_.empty() || std::filesystem::exists(state)) return;
    std::filesystem::create_directories(state + "/models");
    chmod(state.c_str(), 0700);
    chmod((state + "/models").c_str(), 0700);
    std::filesystem::copy(folder_, state + "/models", std::filesystem::copy_options::recursive);
  }

 private:
  std::string folder_;
};
TrainedModel trained_model;

std::string host_port(const std::string& url) { return url.substr(url.find("://") + 3); }

}  // namespace

class NatsServer {
 public:
  std::unique_ptr<TestNatsServer> server;
};
class PostgresServer {
 public:
  std::unique_ptr<store::TestServer> server;
  std::unique_ptr<store::TestDatabase> database;
};

bool is_terminal(const Json& job) {
  static const std::vector<std::string> live = {"HELD", "PENDING", "ASSIGNED", "STARTING", "RUNNING", "SUSPENDED", "STOPPING", "COMPLETING"};
  return std::find(live.begin(), live.end(), job.at("state").get<std::string>()) == live.end();
}

System::System(Mode mode, int gpus, SystemOptions options) : mode_(mode), gpus_(gpus), options_(std::move(options)) {
  char pattern[] = "/tmp/aether-e2e-XXXXXX";
  folder_ = mkdtemp(pattern);
  chmod(folder_.c_str(), 0777);  // jobs run as another account when the test is root
  state_ = options_.state_directory.empty() ? folder_ + "/state" : options_.state_directory;
}

System::~System() {
  const bool had_second = parts_.contains(kSecondAgent);
  for (const char* part : {"agent", kSecondAgent, "orchestrator", "ai-core"}) kill_part(part);
  // Jobs outlive their agent by design; none may outlive the test.
  if (std::filesystem::exists(state_)) {
    start_part("orchestrator");
    if (mode_ == Mode::kCluster) start_part("agent");
    if (had_second) start_part(kSecondAgent);
    const auto jobs = request("GET", "/api/v1/jobs?state=waiting,running&limit=1000");
    const Json listed = jobs.status == 200 ? Json::parse(jobs.body).at("items") : Json::array();
    for (const Json& item : listed) request("POST", "/api/v1/jobs/" + item.at("job_id").get<std::string>() + "/cancel", Json{{"grace_s", 0}});
    for (const Json& item : listed) until(10, [&] { return is_terminal(job(item.at("job_id"))); });
  }
  parts_.clear();
  for (const char* part : {"agent", kSecondAgent, "orchestrator", "ai-core"}) expect_no_report(part);
  if (!testing::Test::HasFailure()) std::filesystem::remove_all(folder_);
  std::error_code ignored;
  if (!testing::Test::HasFailure())
    for (const std::string& directory : {state_ + "-jobs", second_state_directory(), second_state_directory() + "-jobs"})
      std::filesystem::remove_all(directory, ignored);
}

std::unique_ptr<System> System::start(Mode mode, int gpus, std::string& why, SystemOptions options) {
  std::unique_ptr<System> system(new System(mode, gpus, std::move(options)));
  if (mode == Mode::kCluster && !system->start_services(why)) return nullptr;
  trained_model.give(system->state_);
  if (mode == Mode::kCluster) system->start_part("ai-core");
  system->start_part("orchestrator");
  trained_model.keep(system->state_);
  if (mode == Mode::kCluster) system->start_part("agent");
  system->wait_for_gpus(static_cast<std::size_t>(gpus));
  return system;
}

bool System::start_services(std::string& why) {
  auto nats = TestNatsServer::start(options_.nats_host);
  if (!nats) return why = nats.error().message, false;
  nats_ = std::make_unique<NatsServer>();
  nats_->server = std::move(*nats);
  auto server = store::TestServer::start();
  if (!server) return why = server.error().message, false;
  postgres_ = std::make_unique<PostgresServer>();
  postgres_->server = std::move(*server);
  auto database = postgres_->server->make_database();
  if (!database) return why = database.error().message, false;
  postgres_->database = std::move(*database);
  return true;
}

std::string System::nats_url() const { return nats_ ? nats_->server->url() : ""; }
std::string System::database_url() const { return postgres_ ? postgres_->database->url() : ""; }

std::vector<std::string> System::command(const std::string& part) const {
  const bool second = part == kSecondAgent;
  const std::string role = mode_ == Mode::kEmbedded ? "up" : second ? "agent" : part;
  const auto address = [](const std::string& known) { return known.empty() ? std::string("127.0.0.1:0") : host_port(known); };
  const std::string gpus = options_.gpus.empty() ? fmt::format("simulated:{},seed={}", gpus_, second ? 8 : 7) : options_.gpus;
  std::vector<std::string> out = {AETHER_BIN_DIR "/aether", role, "--state-dir", second ? second_state_directory() : state_,
                                  "--log-format", "json", "--listen-api", address(api_), "--listen-dashboard", address(dashboard_),
                                  "--listen-ai", address(ai_), "--listen-metrics", address(second ? "" : metrics_),
                                  "--node", second ? "n2" : "n1", "--gpus", gpus};
  if (geteuid() == 0) {
    out.push_back("--executor-run-as");
    out.push_back("nobody");
  }
  const auto extra = options_.parts.find(key_of(part));
  if (extra == options_.parts.end()) return out;
  out.insert(out.end(), extra->second.flags.begin(), extra->second.flags.end());
  out.insert(out.begin(), extra->second.prefix.begin(), extra->second.prefix.end());
  return out;
}

void System::start_part(const std::string& part) {
  if (try_start_part(part)) return;
  std::ifstream log(log_path(key_of(part)));
  ADD_FAILURE() << part << " did not start:\n" << std::string(std::istreambuf_iterator<char>(log), {});
}

bool System::try_start_part(const std::string& part) {
  if (mode_ == Mode::kEmbedded && parts_.contains("orchestrator") && parts_["orchestrator"] && parts_["orchestrator"]->running()) return true;
  const std::string key = key_of(part);
  // What a model says is looked at, not how fast a build with sanitizers says it on a busy machine.
  std::map<std::string, std::string> environment = {
      {"ASAN_OPTIONS", "detect_leaks=0"}, {"OMP_NUM_THREADS", "1"}, {"AETHER_SCHEDULER_PREDICT_DEADLINE_MS", "1000"}};
  if (mode_ == Mode::kCluster) {
    environment["NATS_URL"] = nats_url();
    environment["DATABASE_URL"] = database_url();
    environment["AI_CORE_URL"] = ai_.empty() ? "http://127.0.0.1:1" : ai_;
  }
  for (const auto& [name, value] : options_.parts[key].environment) environment[name] = value;
  expect_no_report(key);
  std::ofstream(log_path(key), std::ios::trunc).close();
  parts_[key] = Process::start(command(part), environment, log_path(key));
  const Json ready = wait_ready(key);
  if (ready.is_null()) return false;
  if (part == kSecondAgent) return true;
  for (const auto& [name, field] : {std::pair("api", &api_), {"dashboard", &dashboard_}, {"ai", &ai_}, {"metrics", &metrics_}})
    if (ready.contains(name)) *field = ready.at(name);
  std::ifstream(ready.at("token_file").get<std::string>()) >> token_;
  return true;
}

void System::expect_no_report(const std::string& key) const {
  std::ifstream file(log_path(key));
  const std::string log((std::istreambuf_iterator<char>(file)), {});
  for (const char* word : {"ThreadSanitizer", "AddressSanitizer", "runtime error:", "aether: bug:"})
    if (const std::size_t at = log.find(word); at != std::string::npos) ADD_FAILURE() << key << ": " << log.substr(at, 6000);
}

Json System::wait_ready(const std::string& part) {
  Json ready;
  until(60, [&] {
    std::ifstream log(log_path(part));
    for (std::string line; std::getline(log, line);)
      if (line.find("\"event\":\"ready\"") != std::string::npos) ready = Json::parse(line);
    return !ready.is_null() || !parts_[part]->running();
  });
  return ready;
}

void System::kill_part(const std::string& part) {
  const std::string key = key_of(part);
  if (parts_.contains(key) && parts_[key]) parts_[key]->kill_now();
}

void System::signal_part(const std::string& part, int number) {
  const std::string key = key_of(part);
  if (parts_.contains(key) && parts_[key]) parts_[key]->signal(number);
}

std::optional<int> System::wait_exit(const std::string& part, double timeout_s) {
  const std::string key = key_of(part);
  return parts_.contains(key) && parts_[key] ? parts_[key]->wait(timeout_s) : std::nullopt;
}

void System::stop_nats() { nats_->server->stop(); }
bool System::start_nats() { return nats_->server->restart(); }
void System::freeze_nats() { nats_->server->freeze(); }
void System::thaw_nats() { nats_->server->thaw(); }
void System::stop_database() { postgres_->server->stop(); }
bool System::start_database() { return postgres_->server->start_again().has_value(); }

http::ClientResponse System::request(const std::string& method, const std::string& path, const Json& body, bool with_token) {
  http::ClientResponse response;
  const auto attempt = [&] {
    http::Client client({.base_url = api_, .timeout = std::chrono::seconds(20), .token = with_token ? token_ : ""});
    auto result = client.request(method, path, body.is_null() ? "" : body.dump(), {{"content-type", "application/json"}});
    if (result) response = std::move(*result);
    return result.has_value();
  };
  until(20, attempt);
  return response;
}

Json System::get(const std::string& path) {
  const auto response = request("GET", path);
  EXPECT_EQ(response.status, 200) << path << ": " << response.body;
  return response.status == 200 ? Json::parse(response.body) : Json();
}

Json System::get_ai(const std::string& path, const Json& body) {
  http::Client client({.base_url = ai_, .token = token_});
  const auto response = client.request("POST", path, body.dump(), {{"content-type", "application/json"}});
  return response && response->status == 200 ? Json::parse(response->body) : Json();
}

std::string System::submit(const Json& spec) {
  const auto response = request("POST", "/api/v1/jobs", spec);
  EXPECT_EQ(response.status, 201) << response.body;
  return response.status == 201 ? Json::parse(response.body).at("job_id").get<std::string>() : "";
}

Json System::job(const std::string& id) { return get("/api/v1/jobs/" + id); }

std::string System::log(const std::string& id, const std::string& stream) {
  return request("GET", "/api/v1/jobs/" + id + "/logs/" + stream).body;
}

Json System::wait_for(const std::string& id, const std::function<bool(const Json&)>& holds, double timeout_s) {
  Json last;
  const bool held = until(timeout_s, [&] {
    last = job(id);
    return last.is_null() || holds(last);
  });
  EXPECT_TRUE(held) << "job stays " << last.dump();
  return last;
}

Json System::wait_ended(const std::string& id, double timeout_s) { return wait_for(id, is_terminal, timeout_s); }

Json System::wait_running(const std::string& id) {
  return wait_for(id, [](const Json& job) { return job.at("state") == "RUNNING"; });
}

void System::wait_for_gpus(std::size_t count) {
  EXPECT_TRUE(until(30, [&] {
    std::size_t read = 0;
    for (const Json& gpu : items("/api/v1/gpus")) read += gpu.at("sample").is_null() ? 0 : 1;
    return read >= count;
  }));
}

Output System::cli(std::vector<std::string> arguments) {
  std::vector<std::string> argv = {AETHER_BIN_DIR "/aether"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return run(std::move(argv), {{"AETHER_STATE_DIR", state_}, {"ASAN_OPTIONS", "detect_leaks=0"}, {"NO_COLOR", "1"}});
}

}  // namespace aether::e2e
