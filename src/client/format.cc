#include "client/format.h"

#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "base/quantity.h"

namespace aether::client {

std::string or_dash(std::string text) { return text.empty() ? "-" : text; }

std::optional<Time> time_of(const Json& json, std::string_view key) {
  const Json& value = member(json, key);
  if (!value.is_string()) return std::nullopt;
  const auto time = parse_rfc3339(value.get<std::string>());
  return time ? std::optional(*time) : std::nullopt;
}

std::string time_text(Time time, Zone zone) {
  const std::time_t seconds =
      static_cast<std::time_t>(std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count());
  std::tm parts{};
  if (zone == Zone::kUtc)
    gmtime_r(&seconds, &parts);
  else
    localtime_r(&seconds, &parts);
  char text[32];
  const std::size_t size = std::strftime(
      text, sizeof text, zone == Zone::kUtc ? "%Y-%m-%d %H:%M:%SZ" : "%Y-%m-%d %H:%M:%S", &parts);
  return std::string(text, size);
}

std::string time_text(const Json& json, std::string_view key, Zone zone) {
  const auto time = time_of(json, key);
  return time ? time_text(*time, zone) : "-";
}

std::string short_duration(std::chrono::seconds duration) {
  const std::int64_t seconds = std::max<std::int64_t>(0, duration.count());
  if (seconds < 120) return fmt::format("{}s", seconds);
  if (seconds < 2 * 3600) return fmt::format("{}m", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", seconds / 86400);
}

std::string age_text(const Json& json, std::string_view key, Time now) {
  const auto time = time_of(json, key);
  return time ? short_duration(std::chrono::duration_cast<std::chrono::seconds>(now - *time)) : "-";
}

std::string quantity_text(std::optional<double> value, std::string_view unit, int decimals) {
  if (!value) return "-";
  return unit.empty() ? fmt::format("{:.{}f}", *value, decimals)
                      : fmt::format("{:.{}f} {}", *value, decimals, unit);
}

std::string memory_text(const Json& json, std::string_view key) {
  const auto mebibytes = integer_of(json, key);
  return mebibytes ? format_memory_mb(*mebibytes) : "-";
}

std::string energy_text(std::optional<double> joules) {
  if (!joules) return "-";
  if (*joules >= 3.6e5) return fmt::format("{:.2f} kWh", *joules / 3.6e6);
  return *joules >= 1e3 ? fmt::format("{:.1f} kJ", *joules / 1e3) : fmt::format("{:.0f} J", *joules);
}

std::string carbon_text(std::optional<double> grams) {
  if (!grams) return "-";
  return *grams >= 1000 ? fmt::format("{:.2f} kg", *grams / 1000) : fmt::format("{:.3g} g", *grams);
}

}  // namespace aether::client
