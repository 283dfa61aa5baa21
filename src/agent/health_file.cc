#include "agent/health_file.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace aether {
namespace {

constexpr std::string_view kKinds[] = {"xid", "memory", "hung", "recovery_action"};

std::string_view next_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

std::optional<HealthWatch::OpenFault> decode_line(std::string_view line) {
  const std::string_view uuid = next_word(line), kind = next_word(line), state = next_word(line), energy = next_word(line);
  const bool known = std::find(std::begin(kKinds), std::end(kKinds), kind) != std::end(kKinds);
  if (uuid.empty() || uuid.size() > 128 || !known || (state != "open" && state != "cured") || !line.empty()) return std::nullopt;
  HealthWatch::OpenFault fault{GpuUuid(std::string(uuid)), std::string(kind), state == "cured", std::nullopt};
  if (energy == "-") return fault;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(energy.data(), energy.data() + energy.size(), value);
  if (error != std::errc() || end != energy.data() + energy.size()) return std::nullopt;
  fault.energy_mj = value;
  return fault;
}

}  // namespace

std::string encode_faults(const std::vector<HealthWatch::OpenFault>& faults) {
  std::string out;
  for (const auto& fault : faults)
    out += fmt::format("{} {} {} {}\n", fault.gpu_uuid.str(), fault.kind, fault.cured ? "cured" : "open",
                       fault.energy_mj ? std::to_string(*fault.energy_mj) : "-");
  return out;
}

std::vector<HealthWatch::OpenFault> decode_faults(std::string_view text) {
  std::vector<HealthWatch::OpenFault> out;
  while (!text.empty() && out.size() < kMaxFaults) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (auto fault = decode_line(text.substr(0, end))) out.push_back(*std::move(fault));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace aether
