#pragma once
// History of many GPUs at once: which level answers, and how GPUs become one line per group.
#include <vector>

#include "store/series.h"

namespace aether::store {

inline constexpr std::int64_t kMaxRowsRead = 2'000'000;    // readings or rollups at one a second, a minute or an hour
inline constexpr std::size_t kMaxGroupValues = 2'000'000;  // in one answer

// As plan_series, for what the members together would have to read: an automatic step grows until that is at most
// kMaxRowsRead, a given one is refused with the step to take instead.
Result<SeriesPlan> plan_group_series(const GroupSeriesQuery& query, Time raw_from, Time minutes_from);

// Takes GPUs one after the other, those of a group together.
class GroupSeriesBuilder {
 public:
  GroupSeriesBuilder(const SeriesPlan& plan, const GroupSeriesQuery& query);
  // Everything that was read of one more GPU of `group`. Groups come in ascending order.
  void add(std::size_t group, const SeriesBuilder& gpu);
  GroupSeries finish() &&;

 private:
  struct Cell {
    double sum = 0, min = 0, max = 0, sum_of_last = 0;
    std::uint32_t gpus = 0;
    std::vector<double> readings;  // for kP95
  };
  double value_of(Statistic statistic, Cell& cell) const;
  void close_group();

  const SeriesPlan plan_;
  const std::vector<std::string> metrics_;
  const std::vector<Statistic> statistics_;
  const bool keep_readings_;
  std::size_t group_ = 0;
  std::vector<Cell> cells_;  // of group_: [metric][step]
  GroupSeries out_;
};

}  // namespace aether::store
