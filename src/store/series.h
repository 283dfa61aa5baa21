#pragma once
// The arithmetic of history: which level answers a query, on which grid, and how stored aggregates merge into
// steps.
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace aether::store {

inline constexpr std::size_t kMaxSeriesPoints = 200'000;
inline constexpr std::size_t kAutomaticSeriesPoints = 1'000;

enum class Level { kRaw, kMinute, kHour };
std::string_view to_string(Level level);  // "raw", "1m", "1h"

struct SeriesPlan {
  Level level = Level::kRaw;
  Duration step{};
  Time first;              // multiple of `step`, not before the query's `from`
  std::size_t points = 0;  // the last step starts before the query's `to`; every step counts as a whole
  Time end() const { return first + step * static_cast<std::int64_t>(points); }
};

// `raw_from` and `minutes_from`: older raw samples (1-minute rollups) have been removed. The step grows to a
// whole minute (hour) where only that level reaches back, and to a multiple of its level's length from one
// minute up.
Result<SeriesPlan> plan_series(const SeriesQuery& query, Time raw_from, Time minutes_from);

// One sample, or a rollup of `count` samples.
struct Aggregate {
  double mean = 0, min = 0, max = 0;
  std::int64_t count = 0;
  Duration length{0};  // of the rollup
};

// Whoever takes what was stored, in order of time.
class ReadingSink {
 public:
  virtual ~ReadingSink() = default;
  // `metric` is an index into the list that was asked for.
  virtual void add(Time time, std::size_t metric, const Aggregate& aggregate) = 0;
};

class SeriesBuilder final : public ReadingSink {
 public:
  enum class Keep { kAggregates, kReadings };
  struct Cell {
    double weighted_sum = 0, min = 0, max = 0, last = 0;
    std::int64_t count = 0;
    Time last_time;
    double mean() const;  // with a count above 0
  };
  // `metrics` are names of gpu_metrics().
  SeriesBuilder(const SeriesPlan& plan, const std::vector<std::string>& metrics, Keep keep = Keep::kAggregates);
  // `time` outside the plan's range is ignored; `metric` is an index into the list above.
  void add(Time time, std::size_t metric, const Aggregate& aggregate) override;
  Series finish() &&;
  const Cell& cell(std::size_t metric, std::size_t step) const { return cells_[metric * plan_.points + step]; }
  // Every value that was added, with Keep::kReadings.
  const std::vector<double>& readings(std::size_t metric, std::size_t step) const {
    return readings_[metric * plan_.points + step];
  }
  void clear();  // for the next GPU

 private:
  SeriesPlan plan_;
  std::vector<std::string> metrics_;
  std::vector<Cell> cells_;                    // [metric][step]
  std::vector<std::vector<double>> readings_;  // the same
};

}  // namespace aether::store
