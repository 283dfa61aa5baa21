// Telemetry end to end: messages on a real nats-server, decoded, folded into the cluster, stored; counted in the store.
// Baseline in the same run: one durable INSERT per message, as the prototype does it, into SQLite.
#include <thread>

#include <fmt/format.h>

#include "base/clock.h"
#include "bus/nats/nats_bus.h"
#include "codec/codec.h"
#include "measure.h"
#include "store/sqlite/sqlite_store.h"
#include "system.h"

namespace aether::bench {
namespace {

constexpr int kGpus = 64;
constexpr double kInFlight = 40'000;

GpuSample sample_of(int gpu, int tick, Time start) {
  GpuSample sample;
  sample.node = NodeId("load");
  sample.gpu_index = gpu;
  sample.gpu_uuid = GpuUuid("GPU-load-" + std::to_string(gpu));
  sample.gpu_name = "load";
  sample.sample_time = start + std::chrono::milliseconds(tick);
  sample.sample_seq = static_cast<std::uint64_t>(tick);
  for (const GpuMetric& metric : gpu_metrics()) metric.set(sample, 10 + (gpu * 7 + tick) % 80);
  return sample;
}

double counter(e2e::System& system, const std::string& name) {
  const std::string text = system.request("GET", "/metrics").body;
  const std::size_t at = text.find("\n" + name + " ");
  return at == std::string::npos ? 0 : std::stod(text.substr(at + name.size() + 2));
}

void through_the_system(e2e::System& system, int ticks) {
  auto bus = NatsBus::open({.url = system.nats_url(), .require_connected = true});
  if (!bus) return fmt::print("{}\n", bus.error().message);
  std::vector<std::pair<std::string, std::string>> messages;
  const Time start = SystemClock().now() - std::chrono::minutes(1);
  for (int tick = 0; tick < ticks; ++tick)
    for (int gpu = 0; gpu < kGpus; ++gpu)
      messages.emplace_back("aether.telemetry.gpu-load-" + std::to_string(gpu), codec::encode_sample(sample_of(gpu, tick, start)));
  const double stored_before = counter(system, "aether_samples_stored_total");
  const auto begin = SteadyClock::now();
  const auto stored_now = [&] { return counter(system, "aether_samples_stored_total") - stored_before; };
  // As fast as the whole path keeps up: never more than kInFlight readings on their way, so that no queue has to drop.
  std::size_t published = 0;
  double stored = 0;
  while (stored < static_cast<double>(messages.size()) && seconds_since(begin) < 120) {
    while (published < messages.size() && static_cast<double>(published) < stored + kInFlight) {
      if ((*bus)->publish(messages[published].first, messages[published].second)) ++published;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    stored = stored_now();
  }
  const double took = seconds_since(begin);
  fmt::print("{} rows of {} metrics over NATS into {}: {:.0f} rows/s end to end, {:.0f} stored, {:.0f} dropped\n",
             messages.size(), gpu_metrics().size(), system.mode() == e2e::Mode::kCluster ? "PostgreSQL" : "SQLite",
             stored / took, stored, counter(system, "aether_samples_dropped_total") + counter(system, "aether_bus_dropped_total"));
}

double one_by_one(const std::string& folder) {
  auto store = SqliteStore::open({folder + "/baseline"});
  if (!store) return 0;
  const auto begin = SteadyClock::now();
  int rows = 0;
  while (seconds_since(begin) < 3) (void)(*store)->append_samples({sample_of(rows % kGpus, rows, SystemClock().now())}), ++rows;
  return rows / seconds_since(begin);
}

}  // namespace
}  // namespace aether::bench

int main() {
  using namespace aether;
  std::string why;
  auto system = e2e::System::start(e2e::Mode::kCluster, 1, why);
  if (!system) return fmt::print("{}\n", why), 1;
  fmt::print("baseline, one row per INSERT into SQLite: {:.0f} rows/s\n", bench::one_by_one(system->folder()));
  bench::through_the_system(*system, 3000);
  return 0;
}
