#pragma once
// A recorded series from a CSV file, replayed: the same values every time, for trials and for machines
// without internet.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "carbon/carbon_source.h"

namespace aether::carbon {

struct SeriesOptions {
  std::string
      path;  // lines "time,intensity": RFC 3339 and g/kWh; a first line of words and lines with # are skipped
  std::string zone = "recorded";
};

class SeriesSource final : public CarbonSource {
 public:
  // kCorrupt with the line when the text makes no sense: times not ascending, a gap of more than 3 h, less
  // than a day.
  static Result<std::unique_ptr<SeriesSource>> open(const SeriesOptions& options);
  static Result<std::unique_ptr<SeriesSource>> from_text(std::string_view csv, const SeriesOptions& options);

  // Inside the recorded dates the values of those dates; outside, the series is repeated in whole weeks
  // (whole days when it is shorter than a week), so that weekday and hour match, and the report says that it
  // is estimated. Half-hour means by time: a file whose step changes is read right.
  Result<CarbonReport> fetch(Time now) override;

 private:
  SeriesSource(std::vector<CarbonPoint> points, SeriesOptions options);
  double mean_g_per_kwh(Time from, Time to) const;
  Time recorded_time(Time time) const;
  bool holds(Time from, Time to) const;

  std::vector<CarbonPoint> points_;
  SeriesOptions options_;
  Time end_;         // of the last point's own step
  Duration period_;  // of the repetition
};

}  // namespace aether::carbon
