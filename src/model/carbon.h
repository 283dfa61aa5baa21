#pragma once
// Carbon intensity of the grid. One unit inside: g CO2-equivalent per kWh.
#include <string>
#include <vector>

#include "base/clock.h"

namespace aether {

struct CarbonPoint {
  Time time;                       // start of the interval the value holds for
  double intensity_g_per_kwh = 0;
  friend bool operator==(const CarbonPoint&, const CarbonPoint&) = default;
};

struct CarbonReport {
  std::string zone;                // "GB", or "typical" for the built-in profile
  std::string source;              // "UK Carbon Intensity API (NESO)", "built-in profile"
  std::string label;               // what the number is, for people: "typical daily profile, not measured"
  bool is_estimated = true;
  double intensity_g_per_kwh = 0;
  Time observed_at;                // the source's own time of the current value
  Time received_at;
  std::vector<CarbonPoint> forecast;  // the next 24 h, ascending
  friend bool operator==(const CarbonReport&, const CarbonReport&) = default;
};

}  // namespace aether
