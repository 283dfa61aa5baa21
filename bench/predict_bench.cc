// POST /predict of a real AI core over one kept connection: 8 and 64 candidates, with and without contributions.
// Baseline: the prototype's Python service on the same class of machine (FastAPI and XGBoost 1.7: 3 candidates 673
// requests/s, p99 4.6 ms; 64 candidates 348 requests/s, p99 6.3 ms). It was measured in another run, so the ratio is rough.
#include <fmt/format.h>

#include "http/raw_client.h"
#include "measure.h"
#include "system.h"

namespace aether::bench {
namespace {

std::string body_with(int candidates, bool explain) {
  auto list = e2e::Json::array();
  for (int i = 0; i < candidates; ++i)
    list.push_back({{"gpu_id", "GPU-" + std::to_string(i)}, {"temperature_c", 40 + i % 45}, {"memory_used_mb", 1000 * (i % 70)},
                    {"memory_total_mb", 81559}, {"utilization_gpu", (i * 13) % 100}, {"utilization_memory_controller", (i * 7) % 100},
                    {"power_draw_w", 80 + (i * 31) % 600}, {"power_limit_w", 700}, {"clock_gpu_mhz", 1980}, {"throttling_reasons", "none"}});
  return e2e::Json{{"candidates", list}, {"job_type", "training"}, {"explain", explain}}.dump();
}

void measure(const std::string& url, const std::string& token, int candidates, bool explain, double baseline_per_s) {
  // Bare sockets: the figure is the service's, not that of a client library.
  http::RawClient client(url.substr(url.find("://") + 3));
  const std::string body = body_with(candidates, explain);
  const std::string head = "Authorization: Bearer " + token + "\r\nContent-Type: application/json\r\n";
  std::vector<double> times;
  const auto request = [&] {
    const auto begin = SteadyClock::now();
    const auto reply = client.request("POST", "/predict", head, body);
    if (!reply || reply->status != 200) {
      fmt::print("failed: {}\n", reply ? reply->body : "no reply");
      std::exit(1);
    }
    return seconds_since(begin);
  };
  for (int i = 0; i < 500; ++i) request();
  const auto begin = SteadyClock::now();
  while (seconds_since(begin) < 5) times.push_back(request());
  const double per_s = static_cast<double>(times.size()) / seconds_since(begin);
  fmt::print("{:>3} candidates{:<20} {:>8.0f} requests/s  {}  {}\n", candidates, explain ? ", contributions" : "", per_s,
             in_milliseconds(percentiles(times)), baseline_per_s > 0 ? fmt::format("{:.0f} x the prototype's {:.0f}/s", per_s / baseline_per_s, baseline_per_s) : "");
}

}  // namespace
}  // namespace aether::bench

int main() {
  using namespace aether;
  std::string why;
  auto system = e2e::System::start(e2e::Mode::kEmbedded, 1, why);
  fmt::print("POST /predict, one connection, the client on the same machine\n");
  bench::measure(system->ai_url(), system->token(), 3, false, 673);
  bench::measure(system->ai_url(), system->token(), 8, false, 0);
  bench::measure(system->ai_url(), system->token(), 64, false, 348);
  bench::measure(system->ai_url(), system->token(), 8, true, 0);
  bench::measure(system->ai_url(), system->token(), 64, true, 0);
  return 0;
}
