#include "telemetry/simulated/scenario.h"

#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/names.h"
#include "telemetry/simulated/gpu_type.h"

namespace aether {
namespace {

using std::chrono::seconds;

constexpr int kMaxSimulatedGpus = 64;

GpuFaults no_faults(int) { return {}; }

GpuFaults hot(int gpu_index) {
  return gpu_index == 1 ? GpuFaults{.cooling_lost_from = seconds(20)} : GpuFaults{};
}
GpuFaults ecc(int gpu_index) {
  return gpu_index == 2 ? GpuFaults{.double_bit_errors_from = seconds(60)} : GpuFaults{};
}
GpuFaults xid(int gpu_index) {
  return gpu_index == 3 ? GpuFaults{.falls_off_bus_at = seconds(60)} : GpuFaults{};
}
GpuFaults idle(int) { return {.jobs_stall_from = seconds(120)}; }

GpuFaults sick(int gpu_index) {
  switch (gpu_index) {
    case 0: return {.unanswered_reads = 0.1};
    case 1: return {.cooling_lost_from = seconds(20)};
    case 2: return {.double_bit_errors_from = seconds(60)};
    case 3: return {.slow_clock_from = seconds(30)};
    default: return {};
  }
}

constexpr std::array kScenarios = {
    Scenario{"none", "nothing goes wrong but the rare errors of any fleet", 1, no_faults},
    Scenario{"hot", "GPU 1 loses its cooling: it overheats and throttles", 2, hot},
    Scenario{"ecc", "GPU 2 gets double-bit memory errors", 3, ecc},
    Scenario{"xid", "GPU 3 falls off the bus after a minute (XID 79) and is lost", 4, xid},
    Scenario{"idle", "jobs stop computing after two minutes and keep their GPUs", 1, idle},
    Scenario{"sick", "GPU 0 answers nine times of ten, 1 overheats, 2 has memory errors, 3 is slow without a reason", 4,
             sick},
};

template <class Range, class Name>
std::string joined(const Range& range, Name name) {
  std::string text;
  for (const auto& item : range) text += (text.empty() ? "" : ", ") + std::string(name(item));
  return text;
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Cuts the text up to `separator` off the front.
std::string_view take_part(std::string_view& text, char separator) {
  const std::size_t at = text.find(separator);
  const std::string_view part = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
  return part;
}

tl::unexpected<Error> bad(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message), "gpus");
}

Result<void> set_scenario(SimulatedOptions& options, std::string_view value) {
  if (!find_scenario(value))
    return bad(fmt::format("no scenario '{}'; there are: {}", value,
                           joined(kScenarios, [](const Scenario& scenario) { return scenario.name; })));
  options.scenario = value;
  return {};
}

Result<void> set_models(SimulatedOptions& options, std::string_view value) {
  while (!value.empty()) {
    const std::string_view key = take_part(value, '+');
    if (!find_simulated_gpu_type(key))
      return bad(fmt::format("no simulated GPU model '{}'; there are: {} (several: h100+a100)", key,
                             joined(simulated_gpu_types(), [](const SimulatedGpuType& type) { return type.key; })));
    options.models.emplace_back(key);
  }
  return {};
}

Result<void> set_option(SimulatedOptions& options, std::string_view key, std::string_view value) {
  if (key == "scenario") return set_scenario(options, value);
  if (key == "model") return set_models(options, value);
  if (key == "seed") {
    const auto seed = parse_number<std::uint64_t>(value);
    if (!seed) return bad(fmt::format("seed '{}' is not a whole number of 0 or more", value));
    options.seed = *seed;
    return {};
  }
  const std::array<std::string, 3> known = {"seed", "scenario", "model"};
  const std::string near = nearest_name(key, known);
  return bad(fmt::format("unknown setting '{}' of simulated GPUs{}; there are: seed, scenario, model", key,
                         near.empty() ? "" : fmt::format(", did you mean '{}'?", near)));
}

}  // namespace

std::span<const Scenario> scenarios() { return kScenarios; }

const Scenario* find_scenario(std::string_view name) {
  for (const Scenario& scenario : kScenarios)
    if (scenario.name == name) return &scenario;
  return nullptr;
}

Result<SimulatedOptions> parse_simulated(std::string_view text) {
  constexpr std::string_view kPrefix = "simulated";
  std::string_view rest = text;
  const std::string_view head = take_part(rest, ',');
  if (!head.starts_with(kPrefix))
    return bad(fmt::format("'{}' does not begin with 'simulated:N', like simulated:8,seed=7,scenario=hot", text));
  SimulatedOptions options;
  if (head.size() > kPrefix.size()) {
    const auto gpus = head[kPrefix.size()] == ':' ? parse_number<int>(head.substr(kPrefix.size() + 1)) : std::nullopt;
    if (!gpus || *gpus < 1 || *gpus > kMaxSimulatedGpus)
      return bad(fmt::format("'{}' must be simulated:N with N from 1 to {}", head, kMaxSimulatedGpus));
    options.gpus = *gpus;
  }
  while (!rest.empty()) {
    std::string_view value = take_part(rest, ',');
    const std::string_view key = take_part(value, '=');
    AETHER_TRY(set_option(options, key, value));
  }
  const int needed = find_scenario(options.scenario)->gpus_needed;
  if (options.gpus < needed)
    return bad(fmt::format("scenario {} needs at least {} GPUs, {} asked for", options.scenario, needed, options.gpus));
  return options;
}

}  // namespace aether
