#pragma once
// One printed form per quantity. An absent value is "-": never 0.
#include <optional>
#include <string>

#include "base/clock.h"
#include "client/json_view.h"

namespace aether::client {

enum class Zone { kLocal, kUtc };

// "2026-01-15 09:42:17" in the zone, with "Z" in UTC; "-" when absent or no time.
std::string time_text(const Json& json, std::string_view key, Zone zone);
std::string time_text(Time time, Zone zone);
std::optional<Time> time_of(const Json& json, std::string_view key);
// "12s", "5m", "3h", "2d": how long ago; "-" when absent.
std::string age_text(const Json& json, std::string_view key, Time now);
std::string short_duration(std::chrono::seconds duration);

// "61.5 W", "80 %", "-".
std::string quantity_text(std::optional<double> value, std::string_view unit, int decimals = 0);
std::string memory_text(const Json& json, std::string_view key);  // of a _mb key
std::string or_dash(std::string text);
// "0.42 kWh", "12.5 kJ"; grams as "310 g" or "1.2 kg".
std::string energy_text(std::optional<double> joules);
std::string carbon_text(std::optional<double> grams);

}  // namespace aether::client
