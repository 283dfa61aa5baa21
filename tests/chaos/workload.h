#pragma once
// Keeps a number of jobs alive while everything around it fails, and remembers what each of them has to end with.
// A client as the documents ask for one: it repeats a submission that nobody answered under the same Idempotency-Key.
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "http/client.h"
#include "system.h"

namespace aether::chaos {

using e2e::Json;

// What a job's exit has to say: one of the two.
struct Expected {
  int exit_code = 0;
  int signal = 0;
};

struct WorkloadOptions {
  std::string api_url, token;
  std::string record;      // each job appends "start JOB ATTEMPT GPUS" and "end JOB ATTEMPT GPUS"
  int jobs = 50;           // alive at any time
  double job_seconds = 8;  // mean duration
  std::uint64_t seed = 1;
};

// One thread of its own between start() and stop().
class Workload {
 public:
  explicit Workload(WorkloadOptions options);
  ~Workload() { stop(); }

  void start();
  void stop();
  // After stop(): settles the submissions whose answer was lost, then waits until no job lives. False when that takes
  // longer than `timeout_s`.
  bool drain(double timeout_s);
  // Every job that the API lists, page by page.
  std::vector<Json> all_jobs();

  std::map<std::string, Expected> accepted() const;  // by job id
  std::size_t accepted_count() const;
  std::size_t repeated() const { return repeated_; }  // submissions that had to be sent again
  std::vector<std::string> refusals() const;          // answers that no client should see

 private:
  struct Submission {
    std::string key;
    Json spec;
    Expected expected;
  };

  void run();
  // The number of jobs alive; nothing when nobody answers.
  std::optional<int> count_live();
  Submission make_submission();
  bool submit(const Submission& submission);

  const WorkloadOptions options_;
  http::Client client_;
  std::mt19937_64 random_;
  std::uint64_t next_ = 0;
  std::vector<Submission> unanswered_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> repeated_{0};
  std::thread thread_;

  mutable std::mutex mutex_;
  std::map<std::string, Expected> accepted_;
  std::vector<std::string> refusals_;
};

}  // namespace aether::chaos
