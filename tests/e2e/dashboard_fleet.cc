// For the dashboard's tests and budgets at sizes that no single agent has: an invented fleet of N GPUs behind the real
// API, stream and page server. Readings move once a second; about 30 % of the GPUs change per tick. Not a product: its
// numbers come from a seeded random walk, and every node says that it is simulated.
//   dashboard_fleet GPUS PAGES_DIRECTORY   prints one JSON line with its address, ends with its standard input
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "api/api.h"
#include "api/fake_control.h"
#include "base/rng.h"

namespace aether {
namespace {

constexpr int kGpusPerNode = 8;
constexpr const char* kToken = "aeth_dashboard_test";
const char* const kNames[] = {"llama-70b-sft", "diffusion-xl-pre", "whisper-ft",  "rl-sweep",  "eval-harness",
                              "serve-embed",   "distil",           "llama-8b-dpo", "moe-abl",   "protein-fold"};
const char* const kUsers[] = {"nlp", "vision", "audio", "eval"};

struct Load {
  double busy = 0, memory = 0, temperature = 40;
};

class Fleet {
 public:
  explicit Fleet(int gpus) : loads_(static_cast<std::size_t>(gpus)) {
    control.publish([&](ClusterView& view) {
      view.at = now();
      for (int i = 0; i < gpus; ++i) add_gpu(view, i);
      place_jobs(view);
      add_waiting(view);
      add_trouble(view);
      add_carbon(view);
      view.model = ModelVersion{"placement", "test"};
    });
    order_.reserve(loads_.size());
    for (const auto& [uuid, gpu] : control.view()->gpus) order_.push_back(uuid);
    tick();
  }

  void tick() {
    control.publish([&](ClusterView& view) {
      view.at = now();
      ++ticks_;
      for (std::size_t i = 0; i < order_.size(); ++i)
        if (ticks_ == 1 || rng_.chance(0.3)) measure(view, i);
      if (ticks_ % 60 == 1) remember(view);
      view.jobs.change_all([](const JobId&, auto& job) { use_energy(job); });
      view.nodes.change_all([&](const NodeId&, NodeView& node) { node.last_seen = view.at; });
    });
  }

  api::FakeControl control;

 private:
  static Time now() { return SystemClock().now(); }

  void add_gpu(ClusterView& view, int i) {
    GpuView gpu;
    gpu.info.gpu_uuid = GpuUuid(fmt::format("GPU-{:08x}-0000-4000-8000-{:012x}", i, i * 2654435761ULL & 0xffffffffffff));
    gpu.info.gpu_index = i % kGpusPerNode;
    gpu.info.gpu_name = "NVIDIA H200";
    gpu.info.source = GpuSource::kSimulated;
    gpu.info.memory_total_mb = 143771;
    gpu.info.power_limit_w = 700;
    gpu.info.temperature_slowdown_c = 87;
    gpu.node = NodeId(fmt::format("node-{:0{}}", i / kGpusPerNode + 1, loads_.size() > 512 ? 4 : 2));
    gpu.gpu_id = gpu_display_id(gpu.node, gpu.info.gpu_index);
    gpu.state = GpuState::kFree;
    gpu.state_since = view.at - std::chrono::minutes(20);
    NodeView& node = view.nodes[gpu.node];
    node.inventory.node = gpu.node;
    node.inventory.source = GpuSource::kSimulated;
    node.inventory.exec_mode = "simulated";
    node.inventory.gpus.push_back(gpu.info);
    node.last_seen = view.at;
    view.gpus[gpu.info.gpu_uuid] = gpu;
  }

  std::shared_ptr<Job> new_job(const ClusterView& view, int gpus, JobState state) {
    auto job = std::make_shared<Job>();
    job->number = 4100 + static_cast<std::int64_t>(view.jobs.size());
    job->id = JobId(make_ulid(view.at, 1, static_cast<std::uint64_t>(job->number)));
    job->spec.name = kNames[rng_.below(std::size(kNames))];
    job->spec.argv = {"python", "train.py"};
    job->spec.gpus = gpus;
    job->spec.time_limit_s = 3600 * static_cast<std::int64_t>(1 + rng_.below(8));
    job->user = kUsers[rng_.below(std::size(kUsers))];
    job->submitted_at = view.at - std::chrono::minutes(10 + static_cast<int>(rng_.below(400)));
    job->state = state;
    return job;
  }

  static std::vector<GpuView*> gpus_of(ClusterView& view) {
    std::vector<GpuView*> gpus;
    view.gpus.change_all([&](const GpuUuid&, GpuView& gpu) { gpus.push_back(&gpu); });
    return gpus;
  }

  // Jobs in order over the fleet, with a hole here and there; at most 450, so that all of them are shown.
  void place_jobs(ClusterView& view) {
    const std::size_t total = view.gpus.size();
    const std::size_t least = total / 450 + 1;
    std::size_t at = 0;
    const std::vector<GpuView*> gpus = gpus_of(view);
    while (at < total) {
      const std::size_t sizes[] = {1, 2, 4, 8, 8, 16};
      const std::size_t size = std::max(sizes[rng_.below(std::size(sizes))], least);
      if (rng_.chance(0.12)) {
        at += std::min<std::size_t>(size, 8);
        continue;
      }
      const std::size_t end = std::min(total, at + size);
      auto job = new_job(view, static_cast<int>(end - at), JobState::kRunning);
      Attempt attempt;
      attempt.id = {job->id, 1};
      attempt.state = JobState::kRunning;
      attempt.assigned_at = job->submitted_at + std::chrono::seconds(4);
      attempt.started_at = attempt.assigned_at + std::chrono::seconds(1);
      attempt.placement.node = gpus[at]->node;
      const double busy = rng_.chance(0.06) ? 1 : 40 + static_cast<double>(rng_.below(58));
      for (; at < end; ++at) {
        attempt.placement.gpu_uuids.push_back(gpus[at]->info.gpu_uuid);
        gpus[at]->jobs.push_back({job->id, job->number, job->spec.name});
        gpus[at]->state = busy < 5 ? GpuState::kIdle : GpuState::kBusy;
        gpus[at]->allocated_mb = gpus[at]->info.memory_total_mb;
        loads_[at] = {busy, 0.3 + busy / 160, 45 + busy / 3.2};
      }
      job->attempts = {attempt};
      view.jobs[job->id] = job;
    }
  }

  void add_waiting(ClusterView& view) {
    for (int i = 0; i < 6; ++i) {
      auto job = new_job(view, 8 << (i % 2), JobState::kPending);
      auto wait = std::make_shared<WaitRecord>();
      wait->job = job->id;
      wait->evaluated_at = view.at;
      wait->summary = fmt::format("It needs {} GPUs on one node; the most free together is 4", job->spec.gpus);
      Reason reason;
      reason.code = "INSUFFICIENT_GPUS";
      reason.text = wait->summary;
      reason.need = job->spec.gpus;
      reason.best = 4;
      reason.unit = "gpu";
      wait->reasons = {reason};
      wait->checks = {{"INSUFFICIENT_GPUS", "fail", 4.0, static_cast<double>(job->spec.gpus), "gpu", "4 free together"},
                      {"PRIORITY", "pass", {}, {}, "", "50, first in line"}};
      wait->queue_position = i + 1;
      wait->start_eta = view.at + std::chrono::minutes(24 + 40 * i);
      view.waiting[job->id] = wait;
      view.jobs[job->id] = job;
    }
  }

  void add_trouble(ClusterView& view) {
    const struct {
      std::size_t first, every;
      GpuState state;
      const char* kind;
      Severity severity;
      const char *words, *detail;
    } kinds[] = {{45, 2900, GpuState::kLost, "gpu_lost", Severity::kCritical, "is lost", "Xid 79: the GPU fell off the bus."},
                 {18, 1700, GpuState::kThrottling, "throttling", Severity::kWarning, "is throttling", "88 °C, clocks 23 % under its peers."},
                 {62, 2300, GpuState::kSlow, "slow", Severity::kInfo, "is slower than its peers", "63 % busy, its peers 92 %."}};
    const std::vector<GpuView*> gpus = gpus_of(view);
    for (const auto& kind : kinds)
      for (std::size_t at = kind.first; at < gpus.size(); at += kind.every) {
        GpuView& gpu = *gpus[at];
        gpu.state = kind.state;
        gpu.state_reason = kind.detail;
        if (kind.state == GpuState::kLost) gpu.jobs.clear();
        Alert& alert = view.alerts.emplace_back();
        alert.id = AlertId(fmt::format("{}/{}", kind.kind, gpu.info.gpu_uuid.str()));
        alert.kind = kind.kind;
        alert.severity = kind.severity;
        alert.title = fmt::format("GPU {} on {} {}", gpu.info.gpu_index, gpu.node.str(), kind.words);
        alert.detail = kind.detail;
        alert.node = gpu.node;
        alert.gpu_uuid = gpu.info.gpu_uuid;
        alert.gpu_id = gpu.gpu_id;
        alert.since = view.at - std::chrono::minutes(7);
      }
  }

  void add_carbon(ClusterView& view) {
    CarbonReport carbon;
    carbon.zone = "test";
    carbon.source = "invented for tests";
    carbon.label = "invented for tests";
    carbon.intensity_g_per_kwh = 241;
    carbon.observed_at = carbon.received_at = view.at;
    for (int i = 0; i < 48; ++i)
      carbon.forecast.push_back({view.at + std::chrono::minutes(30 * i), 240 - 110 * std::sin(i / 7.0)});
    view.carbon = carbon;
  }

  void measure(ClusterView& view, std::size_t i) {
    GpuView& gpu = view.gpus[order_[i]];
    if (gpu.state == GpuState::kLost) return gpu.sample.reset();
    Load& load = loads_[i];
    const double noise = static_cast<double>(rng_.below(7)) - 3;
    auto sample = std::make_shared<GpuSample>();
    sample->gpu_uuid = gpu.info.gpu_uuid;
    sample->node = gpu.node;
    sample->sample_time = view.at;
    sample->utilization_gpu = load.busy < 5 ? load.busy : std::clamp(load.busy + noise, 0.0, 100.0);
    sample->memory_used_mb = static_cast<std::int64_t>(load.memory * static_cast<double>(gpu.info.memory_total_mb) * 0.97);
    sample->temperature_c = (gpu.state == GpuState::kThrottling ? 88 : load.temperature) + noise / 3;
    sample->power_draw_w = 90 + *sample->utilization_gpu * 5.4 + noise;
    sample->clock_sm_mhz = 1980 - *sample->utilization_gpu;
    gpu.sample = std::move(sample);
  }

  // Every running job's figure grows every second, as it does in life.
  static void use_energy(std::shared_ptr<const Job>& job) {
    if (job->state != JobState::kRunning) return;
    auto next = std::make_shared<Job>(*job);
    Attempt& attempt = next->attempts.back();
    attempt.energy_j = attempt.energy_j.value_or(0) + 450.0 * next->spec.gpus;
    attempt.carbon_g = *attempt.energy_j / 3.6e6 * 241;
    job = std::move(next);
  }

  static void remember(ClusterView& view) {
    double busy = 0, memory = 0, power = 0;
    int read = 0;
    for (const auto& [uuid, gpu] : view.gpus) {
      if (!gpu.sample) continue;
      ++read;
      busy += *gpu.sample->utilization_gpu;
      memory += static_cast<double>(*gpu.sample->memory_used_mb);
      power += *gpu.sample->power_draw_w;
    }
    FleetHistory& history = view.history;
    history.times.push_back(view.at);
    history.busy_pct.push_back(read > 0 ? busy / read : 0);
    history.memory_used_mb.push_back(memory);
    history.power_draw_w.push_back(power);
    history.jobs_pending.push_back(static_cast<double>(view.waiting.size()));
  }

  Rng rng_{7};
  std::vector<Load> loads_;
  std::vector<GpuUuid> order_;
  std::uint64_t ticks_ = 0;
};

int run(int gpus, const std::string& pages) {
  Fleet fleet(gpus);
  SystemClock clock;
  ApiOptions options;
  options.version = AETHER_VERSION;
  options.cluster = "invented";
  options.pages_directory = pages;
  Api api(fleet.control, nullptr, clock, options);
  http::ServerOptions server_options;
  server_options.tokens = {{http::sha256_hex(kToken), "admin"}};
  auto server = http::Server::open(server_options);
  if (!server) {
    fmt::print(stderr, "{}\n", server.error().message);
    return 1;
  }
  api.register_on(**server, true);
  api.start();
  (*server)->start();
  fmt::print("{{\"address\":\"http://{}\",\"token\":\"{}\",\"gpus\":{}}}\n", (*server)->address(), kToken, gpus);
  std::fflush(stdout);
  auto next = std::chrono::steady_clock::now();
  for (;;) {
    next += std::chrono::seconds(1);
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(next - std::chrono::steady_clock::now());
    if (::poll(&input, 1, std::max(0, static_cast<int>(left.count()))) > 0) break;
    fleet.tick();
  }
  api.stop();
  return 0;
}

}  // namespace
}  // namespace aether

int main(int argc, char** argv) {
  if (argc != 3 || std::atoi(argv[1]) < 1) {
    fmt::print(stderr, "usage: dashboard_fleet GPUS PAGES_DIRECTORY\n");
    return 2;
  }
  return aether::run(std::atoi(argv[1]), argv[2]);
}
