// The whole orchestrator at the size of a large fleet: 10,000 GPUs whose agents are simulated in this process (readings at
// 1 Hz, heartbeats, answers to every start) over the in-process bus, durable SQLite, the real HTTP API; the fleet full and
// 100,000 jobs waiting. Prints what submissions, reads, cycles and memory cost.
//   bench_fleet [GPUS [JOBS]]
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "api/api.h"
#include "base/rng.h"
#include "bus/in_process/in_process_bus.h"
#include "bus/subjects.h"
#include "codec/codec.h"
#include "http/client.h"
#include "http/server.h"
#include "measure.h"
#include "orchestrator/service.h"
#include "store/sqlite/sqlite_store.h"

namespace aether::bench {
namespace {

constexpr int kGpusPerNode = 8;
constexpr const char* kToken = "aeth_bench";

// All nodes of the fleet in one thread: what they say costs the orchestrator the same.
class Agents {
 public:
  Agents(Bus& bus, int gpus) : bus_(bus) {
    for (int n = 0; n * kGpusPerNode < gpus; ++n) nodes_.push_back(inventory_of(n, std::min(kGpusPerNode, gpus - n * kGpusPerNode)));
    subscription_ = *bus_.subscribe("aether.commands.*", [this](const BusMessage& message) { obey(message); });
    thread_ = std::thread([this] { run(); });
  }
  ~Agents() {
    stopping_ = true;
    thread_.join();
    subscription_.reset();
  }

  std::atomic<std::uint64_t> starts{0};

 private:
  static NodeInventory inventory_of(int number, int gpus) {
    NodeInventory inventory;
    inventory.node = NodeId(fmt::format("node{:05}", number));
    inventory.agent_incarnation = fmt::format("{:032x}", number + 1);
    inventory.inventory_seq = 1;
    inventory.boot_id = "boot";
    inventory.exec_mode = "simulated";
    inventory.run_as = "nobody";
    inventory.source = GpuSource::kSimulated;
    for (int i = 0; i < gpus; ++i) {
      GpuInfo info;
      info.gpu_uuid = GpuUuid(fmt::format("GPU-{:08x}-0000-4000-8000-{:012x}", number, i));
      info.gpu_index = i;
      info.gpu_name = number % 2 == 0 ? "NVIDIA H100" : "NVIDIA A100";
      info.source = GpuSource::kSimulated;
      info.memory_total_mb = 81559;
      info.power_limit_w = 700;
      inventory.gpus.push_back(std::move(info));
    }
    return inventory;
  }

  void say(const NodeInventory& node, decltype(AgentEvent::body) body) {
    (void)bus_.publish(subjects::events(node.node), codec::encode_event({node.node, node.agent_incarnation, std::move(body)}));
  }

  // A twentieth of the nodes every 50 ms, so that each one speaks once a second; a heartbeat every fifth time.
  void run() {
    for (const NodeInventory& node : nodes_) say(node, HelloEvent{node});
    auto next = SteadyClock::now();
    for (std::uint64_t tick = 0; !stopping_; ++tick) {
      for (std::size_t n = tick % 20; n < nodes_.size(); n += 20) {
        if ((tick / 20 + n) % 5 == 0) beat(nodes_[n], tick + 1);
        for (const GpuInfo& gpu : nodes_[n].gpus) measure(nodes_[n], gpu);
      }
      next += std::chrono::milliseconds(50);
      std::this_thread::sleep_until(next);
    }
  }

  void beat(const NodeInventory& node, std::uint64_t seq) {
    say(node, HeartbeatEvent{seq, node.inventory_seq, {}, {"boot", static_cast<std::int64_t>(seq) * 50}, 1, 1});
  }

  void measure(const NodeInventory& node, const GpuInfo& gpu) {
    GpuSample sample;
    sample.gpu_uuid = gpu.gpu_uuid;
    sample.node = node.node;
    sample.gpu_index = gpu.gpu_index;
    sample.gpu_name = gpu.gpu_name;
    sample.sample_time = clock_.now();
    sample.temperature_c = 40 + static_cast<double>(rng_.below(30));
    sample.utilization_gpu = static_cast<double>(rng_.below(100));
    sample.memory_used_mb = 500;
    sample.memory_total_mb = gpu.memory_total_mb;
    sample.power_draw_w = 300 + static_cast<double>(rng_.below(300));
    (void)bus_.publish(subjects::telemetry(node.node, gpu.gpu_index), codec::encode_sample(sample));
  }

  void obey(const BusMessage& message) {
    const auto command = codec::decode_command(message.payload);
    const auto* start = command ? std::get_if<StartCommand>(&command->body) : nullptr;
    if (start == nullptr) return;
    ++starts;
    const auto number = static_cast<std::size_t>(std::atoi(command->node.str().substr(4).c_str()));
    AttemptReport report;
    report.attempt = start->attempt;
    report.epoch = start->epoch;
    report.state = JobState::kRunning;
    report.started_at = clock_.now();
    say(nodes_.at(number), report);
  }

  Bus& bus_;
  SystemClock clock_;
  Rng rng_{7};
  std::vector<NodeInventory> nodes_;
  std::atomic<bool> stopping_{false};
  std::unique_ptr<Bus::Subscription> subscription_;
  std::thread thread_;
};

double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  statm >> size >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

double cpu_seconds() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

class Fleet {
 public:
  Fleet(int gpus, const std::string& folder) : folder_(folder) {
    store_ = *SqliteStore::open({folder_});
    ServiceOptions options;
    options.core.max_pending = 1'000'000;
    service_ = *OrchestratorService::open(std::move(options), bus_, *store_, nullptr, nullptr, clock_);
    if (!service_->start()) std::abort();
    ApiOptions api_options;
    api_ = std::make_unique<Api>(*service_, store_.get(), clock_, api_options);
    http::ServerOptions server_options;
    server_options.tokens = {{http::sha256_hex(kToken), "admin"}};
    server_ = *http::Server::open(server_options);
    api_->register_on(*server_, false);
    api_->start();
    server_->start();
    agents_ = std::make_unique<Agents>(bus_, gpus);
  }
  ~Fleet() {
    agents_.reset();
    server_->stop();
    api_->stop();
    service_->stop();
  }

  http::Client client() const {
    return http::Client({.base_url = "http://" + server_->address(), .timeout = std::chrono::seconds(120), .token = kToken});
  }
  std::shared_ptr<const ClusterView> view() const { return service_->view(); }
  std::uint64_t starts() const { return agents_->starts; }

 private:
  const std::string folder_;
  InProcessBus bus_;
  SystemClock clock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<OrchestratorService> service_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<Agents> agents_;
};

std::string job_body(Rng& rng) {
  const nlohmann::json body = {{"argv", {"/usr/bin/train", "--steps", "1000"}},
                               {"gpus", 1 << rng.below(4)},
                               {"gpu_type", rng.chance(0.5) ? "H100" : ""},
                               {"priority", rng.below(100)},
                               {"time_limit_s", 3600 * (1 + rng.below(24))}};
  return body.dump();
}

// `clients` connections, each with its share, one request after the other. The times of all of them.
std::vector<double> submit(const Fleet& fleet, int count, int clients) {
  std::vector<std::vector<double>> times(static_cast<std::size_t>(clients));
  std::vector<std::thread> threads;
  for (int c = 0; c < clients; ++c)
    threads.emplace_back([&, c] {
      http::Client client = fleet.client();
      Rng rng(static_cast<std::uint64_t>(c) + 1);
      for (int i = c; i < count; i += clients) {
        const auto begin = SteadyClock::now();
        const auto reply = client.request("POST", "/api/v1/jobs", job_body(rng), {{"Content-Type", "application/json"}});
        if (!reply || reply->status != 201) {
          fmt::print(stderr, "a submission was refused: {}\n", reply ? reply->body : reply.error().message);
          std::abort();
        }
        times[static_cast<std::size_t>(c)].push_back(seconds_since(begin));
      }
    });
  for (std::thread& thread : threads) thread.join();
  std::vector<double> all;
  for (const auto& part : times) all.insert(all.end(), part.begin(), part.end());
  return all;
}

void read_repeatedly(const Fleet& fleet, const char* name, const std::string& path, int count) {
  http::Client client = fleet.client();
  std::vector<double> times;
  std::size_t bytes = 0;
  for (int i = 0; i < count; ++i) {
    const auto begin = SteadyClock::now();
    const auto reply = client.request("GET", path);
    if (!reply || reply->status != 200) std::abort();
    bytes = reply->body.size();
    times.push_back(seconds_since(begin));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  fmt::print("  {:<34} {} ({} KB)\n", name, in_milliseconds(percentiles(times)), bytes / 1000);
}

// Every cycle of some seconds, as the orchestrator's own metric has it.
void watch_cycles(const Fleet& fleet, const char* name, double seconds) {
  std::vector<double> cycles;
  std::uint64_t seen = fleet.view()->counters.cycles;
  const std::uint64_t first_version = fleet.view()->version;
  const double cpu = cpu_seconds();
  const auto begin = SteadyClock::now();
  while (seconds_since(begin) < seconds) {
    const auto view = fleet.view();
    if (view->counters.cycles != seen) cycles.push_back(view->counters.last_cycle_s);
    seen = view->counters.cycles;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const auto published = fleet.view()->version - first_version;
  const double wall = seconds_since(begin);
  fmt::print("  {:<34} {} ({} cycles, {:.1f} views/s, {:.0f} % of a core with agents and store)\n", name,
             in_milliseconds(percentiles(cycles)), cycles.size(), static_cast<double>(published) / wall,
             100 * (cpu_seconds() - cpu) / wall);
}

int run(int gpus, int jobs) {
  const std::string folder = fmt::format("{}/aether-fleet-{}", std::filesystem::temp_directory_path().string(), getpid());
  {
    Fleet fleet(gpus, folder);
    const auto count_free = [&] {
      const auto view = fleet.view();
      return std::count_if(view->gpus.begin(), view->gpus.end(), [](const auto& g) { return g.second.state == GpuState::kFree; });
    };
    const auto begin = SteadyClock::now();
    while (count_free() < gpus && seconds_since(begin) < 60) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    fmt::print("{} GPUs on {} simulated nodes, seen after {:.1f} s, {:.0f} MB resident\n", count_free(),
               fleet.view()->nodes.size(), seconds_since(begin), resident_mb());
    watch_cycles(fleet, "idle", 5);
    const auto submitting = SteadyClock::now();
    auto times = submit(fleet, jobs, 8);
    const double took = seconds_since(submitting);
    fmt::print("{} jobs from 8 clients: {:.0f} durable submissions/s, {}\n", jobs, jobs / took, in_milliseconds(percentiles(times)));
    const auto filling = SteadyClock::now();
    while (count_free() > gpus / 100 && seconds_since(filling) < 60) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    std::size_t pending = 0;
    const auto view = fleet.view();
    for (const auto& [id, job] : view->jobs) pending += job->state == JobState::kPending ? 1 : 0;
    fmt::print("{} starts, {} GPUs free, {} jobs pending, {:.0f} MB resident; longest cycle so far {:.0f} ms\n", fleet.starts(),
               count_free(), pending, resident_mb(), 1000 * view->counters.longest_cycle_s);
    watch_cycles(fleet, "cycles, full and waiting", 15);
    std::vector<double> late;
    for (int i = 0; i < 300; ++i) {
      const auto one = submit(fleet, 1, 1);
      late.push_back(one.front());
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    fmt::print("  {:<34} {}\n", "one submission at a time", in_milliseconds(percentiles(late)));
    read_repeatedly(fleet, "GET /jobs?state=waiting (queue)", "/api/v1/jobs?state=waiting&limit=100", 100);
    read_repeatedly(fleet, "GET /jobs", "/api/v1/jobs", 100);
    read_repeatedly(fleet, "GET /fleet", "/api/v1/fleet", 50);
    read_repeatedly(fleet, "GET /jobs/{number}", "/api/v1/jobs/50000", 100);
    read_repeatedly(fleet, "GET /metrics", "/metrics", 10);
    fmt::print("longest cycle {:.0f} ms, {:.0f} MB resident\n", 1000 * fleet.view()->counters.longest_cycle_s, resident_mb());
  }
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace
}  // namespace aether::bench

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  return aether::bench::run(argc > 1 ? std::atoi(argv[1]) : 10'000, argc > 2 ? std::atoi(argv[2]) : 100'000);
}
