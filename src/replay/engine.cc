#include "replay/engine.h"

#include <algorithm>
#include <chrono>
#include <queue>
#include <tuple>

#include "base/assert.h"

namespace aether::replay {
namespace {

using queueing::Action;

struct End {
  std::int64_t at_s = 0;
  int job = 0;
  int start = 0;  // which start of the job this is the end of
  bool operator>(const End& other) const { return std::tie(at_s, job) > std::tie(other.at_s, other.job); }
};

class Engine {
 public:
  Engine(const Trace& trace, const queueing::DispatchOptions& options, Estimator* estimator)
      : trace_(trace), options_(options), estimator_(estimator), dispatcher_(trace.nodes, options), runs_(trace.jobs.size()) {
    outcome_.jobs.resize(trace.jobs.size());
    for (std::size_t i = 0; i < runs_.size(); ++i) runs_[i].remaining_s = trace.jobs[i].run_time_s;
    // The published simulators of these two hold a job's GPUs one second longer.
    const bool holds = options.policy == queueing::Policy::kSrtf || options.policy == queueing::Policy::kTiresias;
    extra_s_ = holds ? 1 : 0;
  }

  ReplayOutcome run(const std::function<void(double)>& progress) {
    while (ended_ < runs_.size()) {
      const std::int64_t now_s = next_time_s();
      end_jobs(now_s, progress);
      submit_jobs(now_s);
      decide(now_s);
    }
    return std::move(outcome_);
  }

 private:
  struct Run {
    std::int64_t remaining_s = 0;
    std::int64_t started_s = 0;
    int starts = 0;
    bool running = false;
  };

  std::int64_t next_time_s() {
    while (!ends_.empty() && !is_current(ends_.top())) ends_.pop();
    std::int64_t next = INT64_MAX;
    if (!ends_.empty()) next = ends_.top().at_s;
    if (submitted_ < runs_.size()) next = std::min(next, trace_.jobs[submitted_].submit_s);
    if (const auto wake = dispatcher_.wake_s()) next = std::min(next, *wake);
    AETHER_ASSERT(next != INT64_MAX);
    return next;
  }

  bool is_current(const End& end) const { return runs_[end.job].running && runs_[end.job].starts == end.start; }

  void end_jobs(std::int64_t now_s, const std::function<void(double)>& progress) {
    for (; !ends_.empty() && ends_.top().at_s <= now_s; ends_.pop()) {
      const End end = ends_.top();
      if (!is_current(end)) continue;
      Run& run = runs_[end.job];
      run.running = false;
      outcome_.jobs[end.job].ran_s += now_s - run.started_s;
      outcome_.jobs[end.job].end_s = now_s;
      dispatcher_.end(end.job, static_cast<double>(trace_.jobs[end.job].run_time_s));
      if (estimator_ != nullptr)
        estimator_->ended(end.job, static_cast<double>(trace_.jobs[end.job].run_time_s), now_s);
      ++ended_;
      if (progress && ended_ % 256 == 0) progress(static_cast<double>(ended_) / static_cast<double>(runs_.size()));
    }
  }

  void submit_jobs(std::int64_t now_s) {
    for (; submitted_ < runs_.size() && trace_.jobs[submitted_].submit_s <= now_s; ++submitted_) {
      const TraceJob& job = trace_.jobs[submitted_];
      const int id = static_cast<int>(submitted_);
      queueing::Belief belief;
      if (estimator_ != nullptr) belief = estimator_->submitted({id, job.user, job.partition, job.gpus, job.cpus, job.submit_s});
      dispatcher_.submit({id, job.partition, job.gpus, job.submit_s, job.run_time_s, std::move(belief)});
    }
  }

  void decide(std::int64_t now_s) {
    const auto before = std::chrono::steady_clock::now();
    const std::vector<Action> actions = dispatcher_.decide(now_s);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - before;
    outcome_.slowest_decision_ms = std::max(outcome_.slowest_decision_ms, took.count());
    ++outcome_.decisions;
    for (const Action& action : actions) {
      Run& run = runs_[action.job];
      if (action.kind == Action::Kind::kStop) {
        AETHER_ASSERT(run.running);
        run.running = false;
        outcome_.jobs[action.job].ran_s += now_s - run.started_s;
        run.remaining_s += options_.overhead_s(trace_.jobs[action.job].gpus) - (now_s - run.started_s);
        ++outcome_.preemptions;
      } else {
        run.running = true;
        run.started_s = now_s;
        ++run.starts;
        ends_.push({now_s + run.remaining_s + extra_s_, action.job, run.starts});
      }
    }
  }

  const Trace& trace_;
  queueing::DispatchOptions options_;
  Estimator* estimator_;
  queueing::Dispatcher dispatcher_;
  std::vector<Run> runs_;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  std::size_t submitted_ = 0;
  std::size_t ended_ = 0;
  std::int64_t extra_s_ = 0;
  ReplayOutcome outcome_;
};

}  // namespace

std::int64_t venus_overhead_s(int gpus) { return gpus <= 8 ? 40 : 60; }
std::int64_t philly_overhead_s(int gpus) { return gpus == 1 ? 7 : gpus <= 8 ? 30 : 60; }

ReplayOutcome run_replay(const Trace& trace, const queueing::DispatchOptions& options, Estimator* estimator,
                         const std::function<void(double)>& progress) {
  return Engine(trace, options, estimator).run(progress);
}

}  // namespace aether::replay
