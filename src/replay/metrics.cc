#include "replay/metrics.h"

#include <algorithm>

namespace aether::replay {
namespace {

std::int64_t quantile(const std::vector<std::int64_t>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(share * static_cast<double>(sorted.size())))];
}

Metrics measure_jobs(const Trace& trace, const ReplayOutcome& outcome, int partition) {
  std::vector<std::int64_t> completion, queue;
  Metrics metrics;
  std::int64_t first_s = INT64_MAX, last_s = 0;
  for (std::size_t i = 0; i < trace.jobs.size(); ++i) {
    const TraceJob& job = trace.jobs[i];
    if (partition >= 0 && job.partition != partition) continue;
    const std::int64_t took_s = outcome.jobs[i].end_s - job.submit_s;
    completion.push_back(took_s);
    queue.push_back(took_s - outcome.jobs[i].ran_s);
    metrics.mean_jct_s += static_cast<double>(took_s);
    metrics.mean_queue_s += static_cast<double>(queue.back());
    const auto slowdown = static_cast<double>(took_s) / static_cast<double>(std::max<std::int64_t>(10, job.run_time_s));
    metrics.bounded_slowdown += std::max(1.0, slowdown);
    first_s = std::min(first_s, job.submit_s);
    last_s = std::max(last_s, outcome.jobs[i].end_s);
  }
  metrics.jobs = completion.size();
  if (metrics.jobs == 0) return metrics;
  const auto count = static_cast<double>(metrics.jobs);
  metrics.mean_jct_s /= count;
  metrics.mean_queue_s /= count;
  metrics.bounded_slowdown /= count;
  metrics.makespan_s = last_s - first_s;
  std::sort(completion.begin(), completion.end());
  std::sort(queue.begin(), queue.end());
  metrics.p50_jct_s = quantile(completion, 0.5);
  metrics.p99_jct_s = quantile(completion, 0.99);
  metrics.p99_queue_s = quantile(queue, 0.99);
  metrics.p999_queue_s = quantile(queue, 0.999);
  return metrics;
}

}  // namespace

Metrics measure(const Trace& trace, const ReplayOutcome& outcome) { return measure_jobs(trace, outcome, -1); }

std::vector<Metrics> measure_partitions(const Trace& trace, const ReplayOutcome& outcome) {
  std::vector<Metrics> all;
  for (int partition = 0; partition < static_cast<int>(trace.partitions.size()); ++partition)
    all.push_back(measure_jobs(trace, outcome, partition));
  return all;
}

}  // namespace aether::replay
