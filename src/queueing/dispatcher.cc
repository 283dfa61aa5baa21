#include "queueing/dispatcher.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/assert.h"

namespace aether::queueing {
namespace {

constexpr std::int64_t kInterval_s = 60;
// Among equals: the published simulator of shortest-remaining-time lets the waiting go first, all others the running.
constexpr std::int64_t kBehindAnyTurn = std::int64_t{1} << 60;
constexpr double kUnmovable = 1e12;
// Before anything has ended a run time is taken for three hours, as if a hundred jobs had shown it.
constexpr double kFirstMean_s = 10800;
constexpr double kFirstMean_jobs = 100;
constexpr double kNewMean = 1.1;
constexpr std::int64_t kTiresiasThreshold_gpu_s = 18000;

constexpr std::array<std::pair<std::string_view, Policy>, 8> kNames{{{"fifo", Policy::kFifo},
                                                                    {"sjf", Policy::kSjf},
                                                                    {"fifo-skip", Policy::kFifoSkip},
                                                                    {"easy", Policy::kEasy},
                                                                    {"srtf", Policy::kSrtf},
                                                                    {"tiresias", Policy::kTiresias},
                                                                    {"gittins", Policy::kGittins},
                                                                    {"ai", Policy::kAi}}};

void take(std::vector<int>& free_gpus, const std::vector<NodeShare>& shares) {
  for (const NodeShare& share : shares) free_gpus[share.node] -= share.gpus;
}

void give_back(std::vector<int>& free_gpus, const std::vector<NodeShare>& shares) {
  for (const NodeShare& share : shares) free_gpus[share.node] += share.gpus;
}

bool fits(const std::vector<int>& free_gpus, const std::vector<NodeShare>& shares) {
  return std::all_of(shares.begin(), shares.end(),
                     [&](const NodeShare& share) { return free_gpus[share.node] >= share.gpus; });
}

int sum(const std::vector<int>& values) {
  int total = 0;
  for (const int value : values) total += value;
  return total;
}

}  // namespace

std::optional<Policy> policy_from(std::string_view name) {
  for (const auto& [text, policy] : kNames)
    if (text == name) return policy;
  return std::nullopt;
}

std::string_view to_string(Policy policy) {
  for (const auto& [text, value] : kNames)
    if (value == policy) return text;
  return "?";
}

bool is_preemptive(Policy policy) {
  return policy == Policy::kSrtf || policy == Policy::kTiresias || policy == Policy::kGittins;
}

class Dispatcher::Outlook {
 public:
  Outlook(const Dispatcher& dispatcher, const Partition& partition, std::int64_t now_s, std::span<const int> leaving = {})
      : dispatcher_(dispatcher), partition_(partition), now_s_(now_s), leaving_(leaving) {}

  // Of a job as it would start or run on now.
  Forecast forecast(int job) const {
    const Job& one = dispatcher_.jobs_[job];
    const double ran_s = one.running ? static_cast<double>(now_s_ - one.started_s) : 0;
    return forecast_end(*one.submission.belief, progress_s(one) + ran_s);
  }
  const NodeForecasts& nodes() {
    if (nodes_) return *nodes_;
    nodes_.emplace(partition_.free_gpus.size());
    for (const int job : partition_.running)
      if (std::find(leaving_.begin(), leaving_.end(), job) == leaving_.end()) add(job, dispatcher_.jobs_[job].shares);
    return *nodes_;
  }
  // A job that was given these shares after the nodes were asked for.
  void placed(int job, const std::vector<NodeShare>& shares) {
    if (nodes_) add(job, shares);
  }

 private:
  void add(int job, const std::vector<NodeShare>& shares) {
    if (!dispatcher_.jobs_[job].submission.belief) return;
    const Forecast end = forecast(job);
    for (const NodeShare& share : shares) nodes_->add(share.node, end);
  }

  const Dispatcher& dispatcher_;
  const Partition& partition_;
  std::int64_t now_s_;
  std::span<const int> leaving_;
  std::optional<NodeForecasts> nodes_;
};

Dispatcher::Dispatcher(const std::vector<int>& nodes, DispatchOptions options)
    : options_(options), mean_run_time_s_(kFirstMean_s) {
  for (const int count : nodes) partitions_.push_back({.free_gpus = std::vector<int>(count, kGpusPerNode)});
}

void Dispatcher::submit(const Submission& submission) {
  if (submission.job >= static_cast<int>(jobs_.size())) jobs_.resize(submission.job + 1);
  jobs_[submission.job] = {.submission = submission, .tie = ++turns_};
  Partition& partition = partitions_[submission.partition];
  AETHER_ASSERT(submission.gpus <= static_cast<int>(partition.free_gpus.size()) * kGpusPerNode);
  add_waiting(partition, submission.job);
  partition.dirty = true;
}

void Dispatcher::end(int job, double run_time_s) {
  Job& ended = jobs_[job];
  AETHER_ASSERT(ended.running);
  Partition& partition = partitions_[ended.submission.partition];
  give_back(partition.free_gpus, ended.shares);
  std::erase(partition.running, job);
  ended.running = false;
  partition.dirty = true;
  measure_time(run_time_s);
}

// Ageing is measured in mean run times. When the mean has moved, everybody's key is computed anew.
void Dispatcher::measure_time(double run_time_s) {
  ended_sum_s_ += run_time_s;
  ended_count_ += 1;
  const double mean_s = (ended_sum_s_ + kFirstMean_s * kFirstMean_jobs) / (ended_count_ + kFirstMean_jobs);
  if (mean_s < mean_run_time_s_ * kNewMean && mean_s > mean_run_time_s_ / kNewMean) return;
  mean_run_time_s_ = mean_s;
  if (options_.policy != Policy::kGittins && options_.policy != Policy::kAi) return;
  for (Partition& partition : partitions_) {
    for (Ranked& ranked : partition.waiting) ranked.key = waiting_key(jobs_[ranked.job]);
    std::sort(partition.waiting.begin(), partition.waiting.end());
  }
}

std::optional<std::vector<NodeShare>> Dispatcher::place(const Partition& partition, int job, Outlook& outlook) const {
  const Submission& submission = jobs_[job].submission;
  const bool aligned = options_.align_releases && submission.gpus <= kGpusPerNode && submission.belief &&
                       (options_.policy == Policy::kGittins || options_.policy == Policy::kAi);
  if (!aligned) return place_consolidated(partition.free_gpus, submission.gpus);
  const auto has_room = [&](int free) { return free >= submission.gpus; };
  if (std::none_of(partition.free_gpus.begin(), partition.free_gpus.end(), has_room)) return std::nullopt;
  const int node = least_extended_node(partition.free_gpus, submission.gpus, outlook.forecast(job), outlook.nodes());
  return std::vector<NodeShare>{{node, submission.gpus}};
}

void Dispatcher::believe(int job, Belief belief) {
  Job& waiting = jobs_[job];
  Partition& partition = partitions_[waiting.submission.partition];
  if (waiting.running) {
    waiting.submission.belief = std::move(belief);
    return;
  }
  const auto found = std::lower_bound(partition.waiting.begin(), partition.waiting.end(), Ranked{waiting_key(waiting), waiting.tie, job});
  AETHER_ASSERT(found != partition.waiting.end() && found->job == job);
  partition.waiting.erase(found);
  waiting.submission.belief = std::move(belief);
  add_waiting(partition, job);
}

std::vector<Action> Dispatcher::decide(std::int64_t now_s) {
  std::vector<Action> out;
  for (Partition& partition : partitions_) {
    const bool due = partition.wake_s != 0 && partition.wake_s <= now_s;
    if (!partition.dirty && !due) continue;
    partition.dirty = false;
    partition.wake_s = 0;
    if (partition.waiting.empty()) continue;
    switch (options_.policy) {
      case Policy::kEasy:
        start_with_reservation(partition, now_s, out);
        break;
      case Policy::kSrtf:
      case Policy::kGittins:
        walk_quota(partition, now_s, out);
        break;
      case Policy::kTiresias:
        if (now_s % kInterval_s == 0) walk_quota(partition, now_s, out);
        break;
      default:
        start_in_order(partition, now_s, out);
    }
    if (!is_preemptive(options_.policy) || partition.waiting.empty()) continue;
    partition.wake_s =
        options_.policy == Policy::kSrtf ? next_crossing_s(partition, now_s) : (now_s / kInterval_s + 1) * kInterval_s;
  }
  return out;
}

std::optional<std::int64_t> Dispatcher::wake_s() const {
  std::optional<std::int64_t> earliest;
  for (const Partition& partition : partitions_)
    if (partition.wake_s != 0 && (!earliest || partition.wake_s < *earliest)) earliest = partition.wake_s;
  return earliest;
}

std::size_t Dispatcher::waiting() const {
  std::size_t total = 0;
  for (const Partition& partition : partitions_) total += partition.waiting.size();
  return total;
}

double Dispatcher::progress_s(const Job& job) {
  return static_cast<double>(std::max<std::int64_t>(0, job.served_s - job.overhead_s));
}

double Dispatcher::waiting_key(const Job& job) const {
  const Submission& submission = job.submission;
  const double gpus = submission.gpus;
  switch (options_.policy) {
    case Policy::kSjf:
      return static_cast<double>(submission.true_run_time_s);
    case Policy::kSrtf:
      return static_cast<double>(submission.true_run_time_s + job.overhead_s - job.served_s);
    case Policy::kTiresias:
      // Submission times are far below 1e12 s.
      return static_cast<double>(submission.submit_s) +
             (job.served_s * submission.gpus > kTiresiasThreshold_gpu_s ? 1e12 : 0.0);
    case Policy::kGittins:
      return options_.gpu_exponent * std::log(gpus) - std::log(submission.belief->gittins_index(progress_s(job))) +
             static_cast<double>(submission.submit_s) / (options_.ageing_run_times * mean_run_time_s_);
    case Policy::kAi:
      return static_cast<double>(submission.submit_s) +
             options_.doubling_run_times * mean_run_time_s_ * std::log2(gpus * submission.belief->geometric_mean_s());
    default:
      return static_cast<double>(submission.submit_s);
  }
}

double Dispatcher::running_key(const Job& job, std::int64_t now_s) const {
  Job as_if_stopped{.submission = job.submission, .served_s = job.served_s + now_s - job.started_s, .overhead_s = job.overhead_s};
  const double key = waiting_key(as_if_stopped);
  if (options_.policy != Policy::kGittins) return key;
  const bool settling = now_s - job.started_s < options_.settling_s;
  return key - (settling ? kUnmovable : std::log(options_.running_bonus));
}

void Dispatcher::add_waiting(Partition& partition, int job) {
  const Ranked ranked{waiting_key(jobs_[job]), jobs_[job].tie, job};
  partition.waiting.insert(std::upper_bound(partition.waiting.begin(), partition.waiting.end(), ranked), ranked);
}

void Dispatcher::start(Partition& partition, int job, std::vector<NodeShare> shares, std::int64_t now_s,
                       std::vector<Action>& out) {
  take(partition.free_gpus, shares);
  partition.running.push_back(job);
  jobs_[job].running = true;
  jobs_[job].tie = ++turns_;
  jobs_[job].started_s = now_s;
  jobs_[job].shares = shares;
  out.push_back({Action::Kind::kStart, job, std::move(shares)});
}

void Dispatcher::stop(Partition& partition, int job, std::int64_t now_s) {
  Job& stopped = jobs_[job];
  give_back(partition.free_gpus, stopped.shares);
  std::erase(partition.running, job);
  stopped.running = false;
  stopped.served_s += now_s - stopped.started_s;
  stopped.overhead_s += options_.overhead_s != nullptr ? options_.overhead_s(stopped.submission.gpus) : 0;
  stopped.tie = ++turns_;
  add_waiting(partition, job);
}

void Dispatcher::start_in_order(Partition& partition, std::int64_t now_s, std::vector<Action>& out) {
  const bool strict = options_.policy == Policy::kFifo || options_.policy == Policy::kSjf;
  int free_total = sum(partition.free_gpus);
  Outlook outlook(*this, partition, now_s);
  std::vector<Ranked> left;
  for (auto next = partition.waiting.begin(); next != partition.waiting.end(); ++next) {
    const int gpus = jobs_[next->job].submission.gpus;
    auto shares = gpus <= free_total ? place(partition, next->job, outlook) : std::nullopt;
    if (shares) {
      outlook.placed(next->job, *shares);
      start(partition, next->job, std::move(*shares), now_s, out);
      free_total -= gpus;
      if (free_total > 0) continue;
      ++next;
    }
    // Nothing behind can start: a strict queue is blocked, or no GPU is left.
    if (strict || free_total == 0) {
      left.insert(left.end(), next, partition.waiting.end());
      break;
    }
    left.push_back(*next);
  }
  partition.waiting = std::move(left);
}

void Dispatcher::start_with_reservation(Partition& partition, std::int64_t now_s, std::vector<Action>& out) {
  std::size_t head = 0;
  for (; head < partition.waiting.size(); ++head) {
    const int job = partition.waiting[head].job;
    auto shares = place_consolidated(partition.free_gpus, jobs_[job].submission.gpus);
    if (!shares) break;
    start(partition, job, std::move(*shares), now_s, out);
  }
  partition.waiting.erase(partition.waiting.begin(), partition.waiting.begin() + head);
  if (partition.waiting.size() < 2 || sum(partition.free_gpus) == 0) return;

  std::vector<int> running = partition.running;
  std::sort(running.begin(), running.end(),
            [&](int a, int b) { return remaining_s(jobs_[a], now_s) < remaining_s(jobs_[b], now_s); });
  std::vector<int> later = partition.free_gpus;
  std::optional<std::vector<NodeShare>> reserved;
  std::int64_t start_s = now_s;
  for (const int job : running) {
    give_back(later, jobs_[job].shares);
    start_s = now_s + remaining_s(jobs_[job], now_s);
    reserved = place_consolidated(later, jobs_[partition.waiting[0].job].submission.gpus);
    if (reserved) break;
  }
  if (!reserved) return;
  std::vector<Ranked> left{partition.waiting[0]};
  for (std::size_t i = 1; i < partition.waiting.size(); ++i) {
    const int job = partition.waiting[i].job;
    auto shares = place_consolidated(partition.free_gpus, jobs_[job].submission.gpus);
    const bool in_time = now_s + jobs_[job].submission.true_run_time_s <= start_s;
    if (shares && !in_time) {
      take(later, *shares);
      if (!fits(later, *reserved)) {
        give_back(later, *shares);
        shares.reset();
      }
    }
    if (shares)
      start(partition, job, std::move(*shares), now_s, out);
    else
      left.push_back(partition.waiting[i]);
  }
  partition.waiting = std::move(left);
}

std::vector<Dispatcher::Ranked> Dispatcher::rank_all(const Partition& partition, std::int64_t now_s) const {
  const std::int64_t shift = options_.policy == Policy::kSrtf ? kBehindAnyTurn : -kBehindAnyTurn;
  std::vector<Ranked> running;
  for (const int job : partition.running) running.push_back({running_key(jobs_[job], now_s), shift + jobs_[job].tie, job});
  std::sort(running.begin(), running.end());
  std::vector<Ranked> all;
  all.reserve(running.size() + partition.waiting.size());
  std::merge(running.begin(), running.end(), partition.waiting.begin(), partition.waiting.end(), std::back_inserter(all));
  return all;
}

void Dispatcher::walk_quota(Partition& partition, std::int64_t now_s, std::vector<Action>& out) {
  int quota = static_cast<int>(partition.free_gpus.size()) * kGpusPerNode;
  std::vector<int> to_start, to_stop;
  std::size_t left_running = partition.running.size();
  for (const Ranked& ranked : rank_all(partition, now_s)) {
    const Job& job = jobs_[ranked.job];
    left_running -= job.running ? 1 : 0;
    if (job.submission.gpus <= quota) {
      quota -= job.submission.gpus;
      if (!job.running) to_start.push_back(ranked.job);
    } else if (job.running && job.started_s != now_s) {
      to_stop.push_back(ranked.job);
    }
    if (quota == 0 && left_running == 0) break;
  }
  for (const int job : to_stop) give_back(partition.free_gpus, jobs_[job].shares);
  std::vector<std::pair<int, std::vector<NodeShare>>> placed;
  Outlook outlook(*this, partition, now_s, to_stop);
  for (const int job : to_start) {
    auto shares = place(partition, job, outlook);
    if (!shares) continue;
    outlook.placed(job, *shares);
    take(partition.free_gpus, *shares);
    placed.emplace_back(job, std::move(*shares));
  }
  // The published policies stop whom the quota leaves out, even when the newcomer then finds no node.
  if (options_.policy == Policy::kGittins)
    std::erase_if(to_stop, [&](int job) {
      if (!fits(partition.free_gpus, jobs_[job].shares)) return false;
      take(partition.free_gpus, jobs_[job].shares);
      return true;
    });
  for (const int job : to_stop) {
    take(partition.free_gpus, jobs_[job].shares);  // stop() gives back what the walk has given back already
    stop(partition, job, now_s);
    out.push_back({Action::Kind::kStop, job, {}});
  }
  for (auto& [job, shares] : placed) {
    std::erase_if(partition.waiting, [&, id = job](const Ranked& ranked) { return ranked.job == id; });
    give_back(partition.free_gpus, shares);
    start(partition, job, std::move(shares), now_s, out);
  }
  if (options_.policy != Policy::kGittins || partition.waiting.empty() || sum(partition.free_gpus) == 0) return;
  // What is still free goes to whoever fits; a job stopped just now can't start in the same second.
  std::vector<Ranked> stopped;
  for (const int job : to_stop)
    std::erase_if(partition.waiting, [&](const Ranked& ranked) {
      if (ranked.job == job) stopped.push_back(ranked);
      return ranked.job == job;
    });
  start_in_order(partition, now_s, out);
  for (const Ranked& ranked : stopped) add_waiting(partition, ranked.job);
}

std::int64_t Dispatcher::remaining_s(const Job& job, std::int64_t now_s) const {
  return job.submission.true_run_time_s + job.overhead_s - job.served_s - (job.running ? now_s - job.started_s : 0);
}

// Between events only running jobs come nearer to their end: the order changes when one passes a waiting job.
std::int64_t Dispatcher::next_crossing_s(const Partition& partition, std::int64_t now_s) const {
  std::int64_t next = 0;
  for (const int job : partition.running) {
    const std::int64_t remaining = remaining_s(jobs_[job], now_s);
    // Its first passing: the waiting job with the largest remaining time that is not above its own.
    const auto above = std::upper_bound(partition.waiting.begin(), partition.waiting.end(), static_cast<double>(remaining),
                                        [](double value, const Ranked& ranked) { return value < ranked.key; });
    if (above == partition.waiting.begin()) continue;
    const std::int64_t gap = remaining - static_cast<std::int64_t>(std::prev(above)->key);
    const std::int64_t at = now_s + std::max<std::int64_t>(1, gap);
    if (next == 0 || at < next) next = at;
  }
  return next;
}

}  // namespace aether::queueing
