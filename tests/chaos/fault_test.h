#pragma once
// A test that breaks one thing under running jobs: the jobs, and what must hold for them afterwards.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "checks.h"
#include "system.h"

namespace aether::chaos {

// Runs a shell line; its output when it fails, nothing when it works. For probes of what this machine can do.
inline std::string why_not(const std::string& line) {
  // Names of programs like ip and nft lie in sbin, which not every PATH has.
  const e2e::Output output = e2e::run({"/bin/sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; " + line});
  return output.exit_code == 0 ? "" : fmt::format("'{}' says: {}", line, output.text.substr(0, 200));
}

// A list of numbers in an environment variable, for long runs: "10,20,40".
inline std::vector<double> numbers_from(const char* variable, std::vector<double> otherwise) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return otherwise;
  std::vector<double> out;
  std::istringstream list(text);
  for (std::string number; std::getline(list, number, ',');) out.push_back(std::atof(number.c_str()));
  return out;
}

// Asks until it holds, at most so long.
inline bool eventually(double patience_s, const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(patience_s);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return true;
}

class FaultTest : public testing::Test {
 protected:
  void start(e2e::Mode mode, e2e::SystemOptions options = {}) {
    std::string why;
    system_ = e2e::System::start(mode, 8, why, std::move(options));
    if (!system_) GTEST_SKIP() << why;
    record_ = system_->folder() + "/record";
    std::ofstream(record_).close();
    ASSERT_EQ(chmod(record_.c_str(), 0666), 0);
  }

  Json spec_of(double seconds, int code) const {
    const std::string who = "$AETHER_JOB_ID $AETHER_ATTEMPT $CUDA_VISIBLE_DEVICES";
    return {{"argv", {"/bin/sh", "-c", fmt::format("echo start {0} >>{1}; sleep {2}; echo end {0} >>{1}; exit {3}", who, record_, seconds, code)}},
            {"time_limit_s", 600}};
  }
  // One try that waits at most `patience`. The job's id when it was accepted.
  std::string try_submit(double seconds, int code, std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    http::Client client({.base_url = system_->api_url(), .timeout = patience, .token = system_->token()});
    const auto reply = client.request("POST", "/api/v1/jobs", spec_of(seconds, code).dump(), {{"content-type", "application/json"}});
    status_ = reply ? reply->status : 0;
    if (status_ != 201) return "";
    const std::string id = Json::parse(reply->body).at("job_id");
    accepted_[id] = {code, 0};
    return id;
  }
  void submit(double seconds, int code) { ASSERT_FALSE(try_submit(seconds, code).empty()) << status_; }

  // All that was accepted ends as it has to, ran once, and leaves nothing. A submission that nobody answered may have
  // become a job too, and is then nobody's loss.
  void expect_all_is_well() {
    std::vector<Json> listed;
    for (const auto& [id, expected] : accepted_) system_->wait_ended(id, 180);
    for (const Json& job : system_->items("/api/v1/jobs?limit=1000"))
      if (accepted_.contains(job.at("job_id"))) listed.push_back(job);
    Violations violations = check_jobs(accepted_, listed, {});
    for (const auto& more : {check_record(record_of_accepted(), accepted_, {}), check_processes(system_->state_directory(), accepted_, 20)})
      violations.insert(violations.end(), more.begin(), more.end());
    for (const std::string& violation : violations) ADD_FAILURE() << violation;
  }

  std::string record_of_accepted() const {
    const std::string path = record_ + ".accepted";
    std::ofstream out(path);
    std::ifstream in(record_);
    for (std::string what, job, attempt, gpus; in >> what >> job >> attempt >> gpus;)
      if (accepted_.contains(job)) out << what << " " << job << " " << attempt << " " << gpus << "\n";
    return path;
  }

  std::unique_ptr<e2e::System> system_;
  std::string record_;
  Accepted accepted_;
  int status_ = 0;  // of the last submission
};

}  // namespace aether::chaos
