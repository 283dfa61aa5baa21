// From POST /api/v1/jobs to the job's first instruction, on an idle embedded system; then throughput of no-op jobs.
// Baseline in the same run: fork and exec of the same command, which is what nothing at all in between would cost.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include <fmt/format.h>

#include "measure.h"
#include "system.h"

namespace aether::bench {
namespace {

double wall() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

// The job writes its own start time: date is its first instruction.
double started_at(const std::string& path) {
  double at = 0;
  std::ifstream(path) >> at;
  return at;
}

std::vector<double> bare_exec(const std::string& folder, int count) {
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    const std::string path = folder + "/bare";
    const double begin = wall();
    e2e::run({"/bin/sh", "-c", "date +%s.%N > " + path});
    times.push_back(started_at(path) - begin);
  }
  return times;
}

std::vector<double> idle_latency(e2e::System& system, int count) {
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    const std::string path = system.folder() + "/start-" + std::to_string(i);
    const double begin = wall();
    const std::string id = system.submit({{"argv", {"/bin/sh", "-c", "date +%s.%N > " + path}}, {"time_limit_s", 60}});
    system.wait_ended(id);
    times.push_back(started_at(path) - begin);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return times;
}

void throughput(e2e::System& system, int count) {
  const auto begin = SteadyClock::now();
  std::vector<std::string> ids;
  for (int i = 0; i < count; ++i) ids.push_back(system.submit({{"argv", {"/bin/true"}}, {"gpus", 0}, {"time_limit_s", 60}}));
  const double submitted = seconds_since(begin);
  for (const std::string& id : ids) system.wait_ended(id, 300);
  fmt::print("{} no-op jobs, one client: {:.0f} durable submissions/s, {:.0f} jobs/s submitted to finished "
             "(Slurm 22.05 tuned, another run on this class of machine: 52)\n",
             count, count / submitted, count / seconds_since(begin));
}

}  // namespace
}  // namespace aether::bench

int main() {
  using namespace aether;
  std::string why;
  auto system = e2e::System::start(e2e::Mode::kEmbedded, 8, why);
  auto bare = bench::bare_exec(system->folder(), 100);
  auto submitted = bench::idle_latency(*system, 100);
  const auto bare_p = bench::percentiles(bare), submitted_p = bench::percentiles(submitted);
  fmt::print("submit to exec, idle, embedded with durable SQLite, 100 jobs\n");
  fmt::print("  bare fork and exec   {}\n", bench::in_milliseconds(bare_p));
  fmt::print("  through Aether       {}\n", bench::in_milliseconds(submitted_p));
  fmt::print("  Slurm 22.05 tuned, another run on this class of machine: p50 594 ms, {:.0f} x Aether's\n", 0.594 / submitted_p.p50);
  bench::throughput(*system, 500);
  return 0;
}
