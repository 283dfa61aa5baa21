#include "telemetry/simulated/scenario.h"

#include <array>
#include <charconv>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "base/files.h"
#include "base/names.h"
#include "telemetry/simulated/gpu_type.h"

namespace aether {
namespace {

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
  auto scenario = load_scenario(std::string(value));
  if (!scenario) return bad(scenario.error().message);
  options.scenario = *std::move(scenario);
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

Result<Scenario> load_scenario(const std::string& name_or_path) {
  if (name_or_path.find('/') != std::string::npos || name_or_path.ends_with(".toml")) {
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(name_or_path, ignored))
      return fail(ErrorCode::kNotFound, fmt::format("scenario file {}: there is no such file", name_or_path));
    if (std::filesystem::file_size(name_or_path, ignored) > kMaxScenarioBytes)
      return fail(ErrorCode::kInvalidArgument, fmt::format("{}: more than {} bytes", name_or_path, kMaxScenarioBytes));
    const auto text = read_file(name_or_path);
    if (!text) return fail(text.error());
    return parse_scenario(*text, name_or_path);
  }
  if (name_or_path == "none") return Scenario{};
  for (const ShippedScenario& shipped : shipped_scenarios())
    if (shipped.name == name_or_path) return parse_scenario(shipped.text, name_or_path);
  std::vector<std::string> names = {"none"};
  for (const ShippedScenario& shipped : shipped_scenarios()) names.emplace_back(shipped.name);
  const std::string near = nearest_name(name_or_path, names);
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("no scenario '{}'{}; there are: {}; or give the path of a file", name_or_path,
                          near.empty() ? "" : fmt::format(", did you mean '{}'?", near),
                          joined(names, [](const std::string& name) { return name; })));
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
  const int needed = options.scenario.gpus_needed;
  if (options.gpus < needed)
    return bad(fmt::format("scenario {} needs at least {} GPUs, {} asked for", options.scenario.name, needed, options.gpus));
  return options;
}

}  // namespace aether
