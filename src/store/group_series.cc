#include "store/group_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/assert.h"

namespace aether {
namespace {

struct Word {
  Statistic statistic;
  std::string_view text;
};
constexpr std::array kWords = {Word{Statistic::kMean, "mean"}, Word{Statistic::kMin, "min"},   Word{Statistic::kMax, "max"},
                               Word{Statistic::kSum, "sum"},   Word{Statistic::kLast, "last"}, Word{Statistic::kP95, "p95"}};

}  // namespace

std::string_view to_string(Statistic statistic) {
  for (const Word& word : kWords)
    if (word.statistic == statistic) return word.text;
  return "mean";
}

std::optional<Statistic> parse_statistic(std::string_view text) {
  for (const Word& word : kWords)
    if (word.text == text) return word.statistic;
  return std::nullopt;
}

namespace store {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

bool needs_readings(const std::vector<Statistic>& statistics) {
  return std::any_of(statistics.begin(), statistics.end(),
                     [](Statistic s) { return s == Statistic::kLast || s == Statistic::kP95; });
}

seconds length_of(Level level) {
  return level == Level::kRaw ? seconds(1) : level == Level::kMinute ? seconds(60) : seconds(3600);
}

std::int64_t rows_read(const GroupSeriesQuery& query, Level level) {
  Duration total{0};
  for (const SeriesMember& member : query.members)
    total += std::max(Duration(0), std::min(member.to, query.to) - std::max(member.from, query.from));
  return total / Duration(length_of(level));
}

tl::unexpected<Error> too_much(std::int64_t rows, Level level, bool raw_only) {
  const char* const instead = raw_only                 ? "a shorter range, fewer GPUs, or mean, min and max"
                              : level == Level::kRaw    ? "step_s=60 or more, or step_s=0"
                              : level == Level::kMinute ? "a step_s that is a multiple of 3600, or step_s=0"
                                                        : "a shorter range or fewer GPUs";
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("this would read some {} {}; take {}", rows,
                          level == Level::kRaw ? "readings" : std::string(to_string(level)) + " rollups", instead),
              "/step_s");
}

}  // namespace

Result<SeriesPlan> plan_group_series(const GroupSeriesQuery& query, Time raw_from, Time minutes_from) {
  SeriesQuery one{{}, query.metrics, query.from, query.to, query.step};
  const bool raw_only = needs_readings(query.statistics);
  if (raw_only && query.from < raw_from)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("last and p95 need raw readings, which reach back to {}; ask from there on, or for mean, min or max",
                            format_rfc3339(raw_from)),
                "/agg");
  auto plan = plan_series(one, raw_from, minutes_from);
  for (const seconds longer : {seconds(60), seconds(3600)}) {
    if (!plan || raw_only || query.step > seconds(0) || rows_read(query, plan->level) <= kMaxRowsRead) continue;
    one.step = (std::chrono::duration_cast<seconds>(plan->step) + longer - seconds(1)) / longer * longer;
    plan = plan_series(one, raw_from, minutes_from);
  }
  if (!plan) return plan;
  if (raw_only) plan->level = Level::kRaw;
  const std::int64_t rows = rows_read(query, plan->level);
  if (rows > kMaxRowsRead) return too_much(rows, plan->level, raw_only);
  const std::size_t values = plan->points * query.groups * query.metrics.size() * query.statistics.size();
  if (values > kMaxGroupValues)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} values are more than the {} one answer may have; take a longer step_s, fewer metrics, or by=all",
                            values, kMaxGroupValues),
                "/step_s");
  return plan;
}

GroupSeriesBuilder::GroupSeriesBuilder(const SeriesPlan& plan, const GroupSeriesQuery& query)
    : plan_(plan),
      metrics_(query.metrics),
      statistics_(query.statistics),
      keep_readings_(std::find(statistics_.begin(), statistics_.end(), Statistic::kP95) != statistics_.end()),
      cells_(plan.points * query.metrics.size()) {
  out_.step = std::chrono::duration_cast<seconds>(plan.step);
  out_.level = to_string(plan.level);
  for (std::size_t i = 0; i < plan.points; ++i) out_.times.push_back(plan.first + plan.step * static_cast<std::int64_t>(i));
  out_.groups.resize(query.groups);
}

void GroupSeriesBuilder::add(std::size_t group, const SeriesBuilder& gpu) {
  AETHER_ASSERT(group >= group_ && group < out_.groups.size());
  while (group_ < group) close_group();
  for (std::size_t metric = 0; metric < metrics_.size(); ++metric)
    for (std::size_t step = 0; step < plan_.points; ++step) {
      const SeriesBuilder::Cell& read = gpu.cell(metric, step);
      if (read.count == 0) continue;
      Cell& cell = cells_[metric * plan_.points + step];
      cell.min = cell.gpus == 0 ? read.min : std::min(cell.min, read.min);
      cell.max = cell.gpus == 0 ? read.max : std::max(cell.max, read.max);
      cell.sum += read.mean();
      cell.sum_of_last += read.last;
      ++cell.gpus;
      if (!keep_readings_) continue;
      const auto& readings = gpu.readings(metric, step);
      cell.readings.insert(cell.readings.end(), readings.begin(), readings.end());
    }
}

double GroupSeriesBuilder::value_of(Statistic statistic, Cell& cell) const {
  switch (statistic) {
    case Statistic::kMean: return std::clamp(cell.sum / cell.gpus, cell.min, cell.max);
    case Statistic::kMin: return cell.min;
    case Statistic::kMax: return cell.max;
    case Statistic::kSum: return cell.sum;
    case Statistic::kLast: return cell.sum_of_last / cell.gpus;
    case Statistic::kP95: break;
  }
  const auto rank = static_cast<std::size_t>(std::ceil(0.95 * static_cast<double>(cell.readings.size())));
  const auto at = cell.readings.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1) - 1);
  std::nth_element(cell.readings.begin(), at, cell.readings.end());
  return *at;
}

void GroupSeriesBuilder::close_group() {
  for (std::size_t metric = 0; metric < metrics_.size(); ++metric) {
    GroupColumn column;
    column.values.assign(statistics_.size(), std::vector<std::optional<double>>(plan_.points));
    column.gpus.resize(plan_.points);
    for (std::size_t step = 0; step < plan_.points; ++step) {
      Cell& cell = cells_[metric * plan_.points + step];
      column.gpus[step] = cell.gpus;
      for (std::size_t s = 0; s < statistics_.size() && cell.gpus > 0; ++s)
        column.values[s][step] = value_of(statistics_[s], cell);
    }
    out_.groups[group_][metrics_[metric]] = std::move(column);
  }
  std::fill(cells_.begin(), cells_.end(), Cell());
  ++group_;
}

GroupSeries GroupSeriesBuilder::finish() && {
  while (group_ < out_.groups.size()) close_group();
  return std::move(out_);
}

}  // namespace store
}  // namespace aether
