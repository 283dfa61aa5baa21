#pragma once
// Which waiting job starts where, and which running job makes room: the policies of a queue, as values in and actions out.
// Time comes with each call. The one who drives it owns clock and run times: a replay, the referee's client, a scheduler.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "queueing/consolidated_placement.h"
#include "queueing/release_forecast.h"
#include "queueing/run_time_distribution.h"

namespace aether::queueing {

enum class Policy {
  kFifo,      // in the order of submission, blocked by the first that does not fit
  kSjf,       // shortest first with true run times, blocked likewise
  kFifoSkip,  // in the order of submission, passing over what does not fit
  kEasy,      // the same, but the head keeps a reservation computed from true run times
  kSrtf,      // preemptive, shortest remaining time, true run times
  kTiresias,  // preemptive, two queues by attained service, every minute
  kGittins,   // preemptive, Gittins index of the belief for a GPU-second
  kAi,        // the same order without preemption: expected service with ageing
};
std::optional<Policy> policy_from(std::string_view name);
std::string_view to_string(Policy policy);
bool is_preemptive(Policy policy);

struct DispatchOptions {
  Policy policy = Policy::kFifoSkip;
  // Run time lost by a preemption, by the job's GPUs.
  std::int64_t (*overhead_s)(int gpus) = nullptr;
  // kGittins: a running job's index is multiplied by this, which keeps near ties from swapping.
  double running_bonus = 1.5;
  // kGittins: a job keeps its GPUs at least so long, else overheads could eat all its time.
  std::int64_t settling_s = 120;
  // kGittins: the index is divided by gpus to this power.
  double gpu_exponent = 0.4;
  // kGittins: the index grows e-fold with so many mean run times since submission, so that no job starves.
  double ageing_run_times = 18;
  // kAi: a job with twice the expected GPU-seconds waits as if submitted so many mean run times later.
  double doubling_run_times = 0.3;
  // kGittins and kAi: up to eight GPUs go to the node whose release the job is believed to delay least.
  bool align_releases = true;
};

using Belief = std::shared_ptr<const RunTimeDistribution>;

struct Submission {
  int job = 0;  // dense, chosen by the caller
  int partition = 0;
  int gpus = 1;
  std::int64_t submit_s = 0;
  std::int64_t true_run_time_s = 0;  // read by the policies that need it only
  Belief belief = nullptr;           // kGittins and kAi
};

struct Action {
  enum class Kind { kStop, kStart } kind = Kind::kStart;
  int job = 0;
  std::vector<NodeShare> shares;  // of a start
};

class Dispatcher {
 public:
  // nodes[p] = number of nodes of partition p.
  Dispatcher(const std::vector<int>& nodes, DispatchOptions options);

  // Precondition: the job fits its empty partition.
  void submit(const Submission& submission);
  // A running job has ended after `run_time_s` of work. The mean of these is what ageing is measured by.
  void end(int job, double run_time_s);
  // What is believed about a job that waits has changed.
  void believe(int job, Belief belief);
  // After all ends and submissions of `now_s`; at most once per second. Stops precede starts.
  std::vector<Action> decide(std::int64_t now_s);
  // When decide() wants to be called though nothing happens.
  std::optional<std::int64_t> wake_s() const;
  std::size_t waiting() const;

 private:
  struct Job {
    Submission submission;
    std::int64_t served_s = 0;  // before the current start, overheads included
    std::int64_t overhead_s = 0;
    std::int64_t started_s = 0;
    std::int64_t tie = 0;  // among equal keys: the latest turn of this job in its queue
    bool running = false;
    std::vector<NodeShare> shares = {};
  };
  struct Ranked {
    double key = 0;  // lowest first
    std::int64_t tie = 0;  // lowest first among equals
    int job = 0;
    bool operator<(const Ranked& other) const { return key != other.key ? key < other.key : tie < other.tie; }
  };
  struct Partition {
    std::vector<int> free_gpus = {};
    std::vector<Ranked> waiting = {};  // sorted
    std::vector<int> running = {};
    bool dirty = false;
    std::int64_t wake_s = 0;  // 0 = none
  };

  // What is believed of the partition's nodes at one moment, built when the first job asks.
  class Outlook;

  static double progress_s(const Job& job);
  double waiting_key(const Job& job) const;
  double running_key(const Job& job, std::int64_t now_s) const;
  void add_waiting(Partition& partition, int job);
  void start(Partition& partition, int job, std::vector<NodeShare> shares, std::int64_t now_s, std::vector<Action>& out);
  std::optional<std::vector<NodeShare>> place(const Partition& partition, int job, Outlook& outlook) const;
  void measure_time(double run_time_s);
  void start_in_order(Partition& partition, std::int64_t now_s, std::vector<Action>& out);
  void start_with_reservation(Partition& partition, std::int64_t now_s, std::vector<Action>& out);
  void walk_quota(Partition& partition, std::int64_t now_s, std::vector<Action>& out);
  std::vector<Ranked> rank_all(const Partition& partition, std::int64_t now_s) const;
  void stop(Partition& partition, int job, std::int64_t now_s);
  std::int64_t remaining_s(const Job& job, std::int64_t now_s) const;
  std::int64_t next_crossing_s(const Partition& partition, std::int64_t now_s) const;

  DispatchOptions options_;
  std::vector<Job> jobs_;
  std::vector<Partition> partitions_;
  std::int64_t turns_ = 0;
  double ended_sum_s_ = 0, ended_count_ = 0;
  double mean_run_time_s_ = 0;  // as the keys of the waiting jobs have it
};

}  // namespace aether::queueing
