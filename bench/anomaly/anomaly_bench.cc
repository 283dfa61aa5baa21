// Labelled runs: precision, recall and time to detect of the detector, of fixed thresholds and of an isolation forest.
//   bench_anomaly [--unused] [--seeds N] [--healthy N] [--kind NAME] [--wrong] [--missed] [--no-forest]
// Development seeds count from 1, the unused ones from 2001; --unused judges those, and the forest is trained and tuned on
// healthy development runs either way. --wrong prints every wrong alarm of the detector, --missed what it did not see.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include <fmt/format.h>

#include "anomaly/isolation_forest.h"
#include "anomaly/labelled_runs.h"
#include "base/assert.h"

namespace aether::bench {
namespace {

constexpr double kGpuMonthS = 30 * 86400.0;
constexpr double kHealthyDays = 3;
constexpr int kForestRuns = 12;

struct Options {
  bool unused = false, wrong = false, missed = false, forest = true;
  int seeds = 50, healthy = 30;
  std::string kind;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const char* next = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--unused") options.unused = true;
    else if (word == "--wrong") options.wrong = true;
    else if (word == "--missed") options.missed = true;
    else if (word == "--no-forest") options.forest = false;
    else if (word == "--seeds") options.seeds = std::atoi(next), ++i;
    else if (word == "--healthy") options.healthy = std::atoi(next), ++i;
    else if (word == "--kind") options.kind = next, ++i;
    else {
      std::fprintf(stderr, "unknown argument %s; see the first lines of bench/anomaly/anomaly_bench.cc\n", argv[i]);
      std::exit(2);
    }
  }
  return options;
}

// f(0) ... f(count - 1) on all cores.
template <class F>
void in_parallel(int count, F f) {
  std::atomic<int> next{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < std::max(1u, std::thread::hardware_concurrency()); ++t)
    threads.emplace_back([&] {
      for (int i = next++; i < count; i = next++) f(i);
    });
  for (std::thread& thread : threads) thread.join();
}

RunPlan healthy_plan(std::uint64_t seed) {
  const Duration days = std::chrono::hours(static_cast<int>(24 * kHealthyDays));
  return {"healthy", seed, days, days};
}

struct Judged {
  int runs = 0, detected = 0, correct = 0, wrong = 0;
  std::vector<double> after_s;
  void add(const Score& score) {
    ++runs;
    correct += score.correct;
    wrong += score.wrong;
    if (score.detected_after_s < 0) return;
    ++detected;
    after_s.push_back(score.detected_after_s);
  }
  void add(const Judged& other) {
    runs += other.runs;
    detected += other.detected;
    correct += other.correct;
    wrong += other.wrong;
    after_s.insert(after_s.end(), other.after_s.begin(), other.after_s.end());
  }
  std::string text() const {
    const int alarms = correct + wrong;
    std::vector<double> sorted = after_s;
    std::sort(sorted.begin(), sorted.end());
    return fmt::format("{:>5} {:>5} {:>7}", alarms == 0 ? "-" : fmt::format("{:.2f}", 1.0 * correct / alarms),
                       fmt::format("{:.2f}", 1.0 * detected / std::max(runs, 1)),
                       sorted.empty() ? "-" : fmt::format("{:.0f}", sorted[sorted.size() / 2]));
  }
};

struct Trained {
  Forests forests;
  double threshold = 1;
};

// On healthy development runs; the threshold is the lowest with at most one alarm per GPU-month on others of them.
Trained train() {
  std::map<std::string, std::vector<ForestPoint>> points;
  std::mutex mutex;
  in_parallel(kForestRuns, [&](int i) {
    ForestSampler sampler;
    play({"healthy", static_cast<std::uint64_t>(501 + i), std::chrono::hours(24), std::chrono::hours(24)}, {&sampler});
    std::lock_guard lock(mutex);
    for (const auto& [model, some] : sampler.points) points[model].insert(points[model].end(), some.begin(), some.end());
  });
  Rng rng(1);
  Trained trained;
  for (auto& [model, all] : points) {
    std::sort(all.begin(), all.end());  // threads finish in any order
    trained.forests.emplace(model, IsolationForest(all, rng));
  }
  std::array<int, ForestWatcher::kThresholds> counts{};
  in_parallel(kForestRuns, [&](int i) {
    ForestWatcher watcher(trained.forests, 2);
    play(healthy_plan(static_cast<std::uint64_t>(601 + i)), {&watcher});
    std::lock_guard lock(mutex);
    for (std::size_t t = 0; t < counts.size(); ++t) counts[t] += watcher.counts[t];
  });
  const double gpu_months = kForestRuns * kRunGpus * kHealthyDays * 86400 / kGpuMonthS;
  for (std::size_t t = counts.size(); t-- > 0 && counts[t] <= gpu_months;) trained.threshold = ForestWatcher::threshold_of(t);
  return trained;
}

std::vector<Alarm> together(const std::vector<Alarm>& a, const std::vector<Alarm>& b) {
  std::vector<Alarm> all = a;
  all.insert(all.end(), b.begin(), b.end());
  std::stable_sort(all.begin(), all.end(), [](const Alarm& x, const Alarm& y) { return x.at_s < y.at_s; });
  return all;
}

// Four watchers in this order everywhere.
constexpr const char* kColumns[] = {"detector", "fixed thresholds", "both, as shipped", "isolation forest"};
using Row = std::array<Judged, 4>;

Row judge_kind(const Options& options, const std::string& kind, const Trained& trained) {
  Row row;
  std::mutex mutex;
  in_parallel(options.seeds, [&](int i) {
    const RunPlan plan{kind, static_cast<std::uint64_t>((options.unused ? 2001 : 1) + i)};
    DetectorWatcher detector;
    ThresholdWatcher thresholds;
    ForestWatcher forest(trained.forests, trained.threshold);
    const std::vector<int> faulty = play(plan, {&detector, &thresholds, &forest});
    const Score own = score(plan, faulty, detector.alarms);
    std::lock_guard lock(mutex);
    row[0].add(own);
    row[1].add(score(plan, faulty, thresholds.alarms));
    row[2].add(score(plan, faulty, together(detector.alarms, thresholds.alarms)));
    row[3].add(score(plan, faulty, forest.alarms));
    if (options.missed && own.detected_after_s < 0) fmt::print("missed: {} seed {}\n", kind, plan.seed);
    if (options.wrong)
      for (const Alarm& alarm : detector.alarms)
        if (const Score one = score(plan, faulty, {alarm}); one.wrong > 0)
          fmt::print("wrong: {} seed {} GPUs {} at {:.0f} s: GPU {} {}: {}\n", kind, plan.seed, fmt::join(faulty, ","), alarm.at_s,
                     alarm.gpu, alarm.kind, alarm.text);
  });
  return row;
}

std::array<int, 4> judge_healthy(const Options& options, const Trained& trained) {
  std::array<int, 4> alarms{};
  std::mutex mutex;
  in_parallel(options.healthy, [&](int i) {
    const RunPlan plan = healthy_plan(static_cast<std::uint64_t>((options.unused ? 2001 : 1) + i));
    DetectorWatcher detector;
    ThresholdWatcher thresholds;
    ForestWatcher forest(trained.forests, trained.threshold);
    play(plan, {&detector, &thresholds, &forest});
    std::lock_guard lock(mutex);
    alarms[0] += static_cast<int>(detector.alarms.size());
    alarms[1] += static_cast<int>(thresholds.alarms.size());
    alarms[3] += static_cast<int>(forest.alarms.size());
    alarms[2] = alarms[0] + alarms[1];
    if (options.wrong)
      for (const Alarm& alarm : detector.alarms)
        fmt::print("wrong: healthy seed {} at {:.0f} s: GPU {} {}: {}\n", plan.seed, alarm.at_s, alarm.gpu, alarm.kind, alarm.text);
  });
  return alarms;
}

int run(const Options& options) {
  const Trained trained = options.forest ? train() : Trained{};
  fmt::print("{} seeds, {} a kind; each run: a node of {} GPUs, 60 minutes before the fault and 30 with it, 1 Hz\n",
             options.unused ? "Unused" : "Development", options.seeds, kRunGpus);
  fmt::print("precision of alarms, recall of runs, median time to detect in s; isolation forest at {:.3f}\n\n{:<22}", trained.threshold, "");
  for (const char* column : kColumns) fmt::print("  {:<19}", column);
  fmt::print("\n");
  Row all;
  for (const std::string& kind : run_kinds()) {
    if (!options.kind.empty() && kind != options.kind) continue;
    const Row row = judge_kind(options, kind, trained);
    fmt::print("{:<22}", kind);
    for (std::size_t i = 0; i < row.size(); ++i) {
      fmt::print("  {}", row[i].text());
      all[i].add(row[i]);
    }
    fmt::print("\n");
    std::fflush(stdout);
  }
  fmt::print("{:<22}", "all");
  for (const Judged& judged : all) fmt::print("  {}", judged.text());
  const double gpu_months = options.healthy * kRunGpus * kHealthyDays * 86400 / kGpuMonthS;
  const std::array<int, 4> alarms = judge_healthy(options, trained);
  fmt::print("\n\nHealthy runs of {:.0f} days, {:.1f} GPU-months; false alarms (per GPU-month):\n", kHealthyDays, gpu_months);
  for (std::size_t i = 0; i < alarms.size(); ++i)
    fmt::print("  {:<19} {:>4} ({:.2f})\n", kColumns[i], alarms[i], alarms[i] / std::max(gpu_months, 1e-9));
  const std::size_t metrics = gpu_metrics().size();
  fmt::print("State: {} bytes per GPU, {} per metric\n", sizeof(AnomalyDetector::Gpu), sizeof(AnomalyDetector::Gpu) / metrics);
  return 0;
}

}  // namespace
}  // namespace aether::bench

int main(int argc, char** argv) { return aether::bench::run(aether::bench::parse(argc, argv)); }
