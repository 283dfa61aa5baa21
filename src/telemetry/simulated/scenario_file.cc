#include "telemetry/simulated/scenario_file.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "base/names.h"
#include "base/quantity.h"
#include "model/gpu.h"

namespace aether {
namespace {

template <class Names>
std::string joined(const Names& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

std::string nearest_hint(std::string_view word, const std::vector<std::string>& known) {
  const std::string near = nearest_name(word, known);
  return near.empty() ? "" : fmt::format(", did you mean '{}'?", near);
}

// One file being read: every message names it and the line.
class Reader {
 public:
  explicit Reader(const std::string& origin) : origin_(origin) {}

  Result<Scenario> scenario(const toml::table& table) {
    Scenario out;
    int highest = 0;
    for (const auto& [key, node] : table) {
      const std::string_view name = key.str();
      if (name == "description") {
        if (!node.is_string()) return bad(node, name, "a sentence in quotes");
        out.description = *node.value<std::string>();
      } else if (name == "gpus") {
        const auto gpus = node.value<std::int64_t>();
        if (!node.is_integer() || *gpus < 1 || *gpus > kMaxSimulatedGpus)
          return bad(node, name, fmt::format("a whole number from 1 to {}", kMaxSimulatedGpus));
        out.gpus_needed = static_cast<int>(*gpus);
      } else if (name == "fault") {
        AETHER_TRY(faults(node, out));
      } else {
        return bad(node, name, "no such key" + nearest_hint(name, {"description", "gpus", "fault"}) +
                                   "; there are description, gpus and [[fault]]");
      }
    }
    for (const Fault& fault : out.faults)
      for (int gpu : fault.gpus) highest = std::max(highest, gpu);
    out.gpus_needed = std::max(out.gpus_needed, highest + 1);
    return out;
  }

 private:
  tl::unexpected<Error> bad(const toml::node& node, std::string_view key, std::string_view what) const {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}:{}: {}: {}", origin_, node.source().begin.line, key, what), std::string(key));
  }

  Result<void> faults(const toml::node& node, Scenario& out) {
    const toml::array* list = node.as_array();
    if (list == nullptr) return bad(node, "fault", "write [[fault]], one block for each");
    if (list->size() > kMaxFaults) return bad(node, "fault", fmt::format("more than {} of them", kMaxFaults));
    for (const toml::node& entry : *list) {
      const toml::table* table = entry.as_table();
      if (table == nullptr) return bad(entry, "fault", "write [[fault]], one block for each");
      auto fault = one_fault(*table);
      if (!fault) return fail(fault.error());
      out.faults.push_back(*std::move(fault));
    }
    return {};
  }

  Result<Fault> one_fault(const toml::table& table) {
    const toml::node* kind_node = table.get("kind");
    std::vector<std::string> names;
    for (const FaultKindInfo& kind : fault_kinds()) names.emplace_back(kind.name);
    if (kind_node == nullptr) return bad(table, "kind", "is missing; the kinds are " + joined(names));
    const std::string kind_name = kind_node->value<std::string>().value_or("");
    const FaultKindInfo* kind = find_fault_kind(kind_name);
    if (kind == nullptr)
      return bad(*kind_node, "kind", fmt::format("no kind '{}'{}; the kinds are {}", kind_name, nearest_hint(kind_name, names), joined(names)));
    Fault fault{.kind = kind->kind, .level = kind->level, .ramp = std::chrono::seconds(kind->ramp_s)};
    if (kind->kind == FaultKind::kMissingValues) fault.metrics = metric_bit("temperature_c") | metric_bit("power_draw_w");
    for (const auto& [key, node] : table)
      if (key.str() != "kind") AETHER_TRY(fault_key(key.str(), node, *kind, fault));
    if (fault.every.count() > 0 && fault.every <= fault.lasts && fault.lasts != Fault::kForever)
      return bad(table, "every", "must be longer than `for`");
    return fault;
  }

  Result<void> fault_key(std::string_view key, const toml::node& node, const FaultKindInfo& kind, Fault& fault) {
    if (key == "gpus") return gpus(node, fault);
    if (key == "from") return time(key, node, fault.from);
    if (key == "for") return time(key, node, fault.lasts);
    if (key == "every") return time(key, node, fault.every);
    if (key == "ramp" && !kind.level_key.empty()) return time(key, node, fault.ramp);
    if (key == "metrics" && kind.kind == FaultKind::kMissingValues) return metrics(node, fault);
    if (!kind.level_key.empty() && key == kind.level_key) {
      const auto number = node.value<double>();
      if (!node.is_number() || !(*number >= kind.low && *number <= kind.high))
        return bad(node, key, fmt::format("a number from {} to {}: {}", kind.low, kind.high, kind.what));
      fault.level = *number;
      return {};
    }
    std::vector<std::string> known = {"kind", "gpus", "from", "for", "every"};
    if (!kind.level_key.empty()) known.insert(known.end(), {"ramp", std::string(kind.level_key)});
    if (kind.kind == FaultKind::kMissingValues) known.emplace_back("metrics");
    return bad(node, key, fmt::format("a {} has no such key{}; it has {}", kind.name, nearest_hint(key, known), joined(known)));
  }

  Result<void> time(std::string_view key, const toml::node& node, Duration& out) {
    const auto text = node.value<std::string>();
    const Result<std::chrono::seconds> duration = parse_duration(text.value_or(""));
    if (!duration) return bad(node, key, "a time with its unit in quotes, like \"90s\" or \"10m\"");
    if (duration->count() == 0 && key != "from" && key != "ramp") return bad(node, key, "longer than nothing");
    out = *duration;
    return {};
  }

  Result<void> gpus(const toml::node& node, Fault& fault) {
    if (node.value<std::string>() == "all") return {};
    const toml::array* list = node.as_array();
    const std::string want = fmt::format("\"all\" or a list of indexes from 0 to {}", kMaxSimulatedGpus - 1);
    if (list == nullptr || list->empty()) return bad(node, "gpus", want);
    for (const toml::node& entry : *list) {
      const auto index = entry.value<std::int64_t>();
      if (!entry.is_integer() || *index < 0 || *index >= kMaxSimulatedGpus) return bad(entry, "gpus", want);
      fault.gpus.push_back(static_cast<int>(*index));
    }
    return {};
  }

  Result<void> metrics(const toml::node& node, Fault& fault) {
    const toml::array* list = node.as_array();
    if (list == nullptr || list->empty()) return bad(node, "metrics", "a list of names like [\"power_draw_w\"]");
    fault.metrics = 0;
    for (const toml::node& entry : *list) {
      const std::string name = entry.value<std::string>().value_or("");
      const std::uint64_t bit = metric_bit(name);
      std::vector<std::string> names;
      for (const GpuMetric& metric : gpu_metrics()) names.emplace_back(metric.name);
      if (bit == 0) return bad(entry, "metrics", fmt::format("no metric '{}'{}; there are {}", name, nearest_hint(name, names), joined(names)));
      fault.metrics |= bit;
    }
    return {};
  }

  static std::uint64_t metric_bit(std::string_view name) {
    const GpuMetric* metric = find_gpu_metric(name);
    return metric == nullptr ? 0 : std::uint64_t{1} << (metric - gpu_metrics().data());
  }

  const std::string& origin_;
};

}  // namespace

Result<Scenario> parse_scenario(std::string_view text, const std::string& origin) {
  if (text.size() > kMaxScenarioBytes)
    return fail(ErrorCode::kInvalidArgument, fmt::format("{}: more than {} bytes", origin, kMaxScenarioBytes));
  toml::table table;
  try {
    table = toml::parse(text, std::string_view(origin));
  } catch (const toml::parse_error& error) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}:{}: {}", origin, error.source().begin.line, error.description()));
  }
  auto scenario = Reader(origin).scenario(table);
  if (scenario) scenario->name = origin;
  return scenario;
}

}  // namespace aether
