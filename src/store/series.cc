#include "store/series.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/names.h"

namespace aether::store {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

seconds round_up(seconds value, seconds unit) { return (value + unit - seconds(1)) / unit * unit; }

std::int64_t ceil_div(std::int64_t value, std::int64_t unit) {
  const std::int64_t quotient = value / unit;
  return quotient + (value % unit > 0 ? 1 : 0);
}

Result<void> check_metrics(const std::vector<std::string>& metrics) {
  if (metrics.empty())
    return fail(ErrorCode::kInvalidArgument, "a history query needs at least one metric", "/metrics");
  for (const std::string& name : metrics) {
    if (find_gpu_metric(name)) continue;
    std::vector<std::string> known;
    for (const GpuMetric& metric : gpu_metrics()) known.emplace_back(metric.name);
    const std::string nearest = nearest_name(name, known);
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("\"{}\" is no metric{}", name,
                            nearest.empty() ? std::string() : "; the nearest name is " + nearest),
                "/metrics");
  }
  return {};
}

seconds automatic_step(Duration range) {
  const std::int64_t per_point = ceil_div(range.count(), static_cast<std::int64_t>(kAutomaticSeriesPoints));
  return seconds(std::max<std::int64_t>(1, ceil_div(per_point, Duration(seconds(1)).count())));
}

}  // namespace

std::string_view to_string(Level level) {
  switch (level) {
    case Level::kRaw:
      return "raw";
    case Level::kMinute:
      return "1m";
    case Level::kHour:
      return "1h";
  }
  return "raw";
}

Result<SeriesPlan> plan_series(const SeriesQuery& query, Time raw_from, Time minutes_from) {
  AETHER_TRY(check_metrics(query.metrics));
  if (query.from >= query.to)
    return fail(ErrorCode::kInvalidArgument, "the range of a history query ends before it begins", "/from");
  if (query.step < seconds(0)) return fail(ErrorCode::kInvalidArgument, "step_s is negative", "/step_s");
  seconds step = query.step > seconds(0) ? query.step : automatic_step(query.to - query.from);
  if (step < minutes(1) && query.from < raw_from) step = minutes(1);
  if (step >= minutes(1)) step = round_up(step, minutes(1));
  if (query.from < minutes_from) step = round_up(step, hours(1));

  SeriesPlan plan;
  plan.step = step;
  plan.level = step < minutes(1)               ? Level::kRaw
               : step % hours(1) == seconds(0) ? Level::kHour
                                               : Level::kMinute;
  const std::int64_t first = ceil_div(to_unix_us(query.from), plan.step.count());
  const std::int64_t last = ceil_div(to_unix_us(query.to), plan.step.count());
  plan.first = from_unix_us(first * plan.step.count());
  plan.points = static_cast<std::size_t>(last - first);
  if (plan.points > kMaxSeriesPoints)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} steps are more than the {} one answer may have; take a longer step_s",
                            plan.points, kMaxSeriesPoints),
                "/step_s");
  return plan;
}

// Rounding may carry a mean of equal values out of [min, max] by one bit.
double SeriesBuilder::Cell::mean() const { return std::clamp(weighted_sum / static_cast<double>(count), min, max); }

SeriesBuilder::SeriesBuilder(const SeriesPlan& plan, const std::vector<std::string>& metrics, Keep keep)
    : plan_(plan),
      metrics_(metrics),
      cells_(plan.points * metrics.size()),
      readings_(keep == Keep::kReadings ? cells_.size() : 0) {}

void SeriesBuilder::add(Time time, std::size_t metric, const Aggregate& aggregate) {
  if (time < plan_.first || time >= plan_.end() || aggregate.count <= 0 || !std::isfinite(aggregate.mean)) return;
  const std::size_t index = metric * plan_.points + static_cast<std::size_t>((time - plan_.first) / plan_.step);
  Cell& cell = cells_[index];
  cell.min = cell.count == 0 ? aggregate.min : std::min(cell.min, aggregate.min);
  cell.max = cell.count == 0 ? aggregate.max : std::max(cell.max, aggregate.max);
  if (cell.count == 0 || time >= cell.last_time) cell.last = aggregate.mean, cell.last_time = time;
  cell.weighted_sum += aggregate.mean * static_cast<double>(aggregate.count);
  cell.count += aggregate.count;
  if (!readings_.empty()) readings_[index].push_back(aggregate.mean);
}

void SeriesBuilder::clear() {
  std::fill(cells_.begin(), cells_.end(), Cell());
  for (auto& values : readings_) values.clear();
}

Series SeriesBuilder::finish() && {
  Series series;
  series.step = std::chrono::duration_cast<seconds>(plan_.step);
  series.level = to_string(plan_.level);
  for (std::size_t i = 0; i < plan_.points; ++i)
    series.times.push_back(plan_.first + plan_.step * static_cast<std::int64_t>(i));
  for (std::size_t metric = 0; metric < metrics_.size(); ++metric) {
    SeriesColumn column;
    column.mean.resize(plan_.points);
    column.min.resize(plan_.points);
    column.max.resize(plan_.points);
    for (std::size_t i = 0; i < plan_.points; ++i) {
      const Cell& cell = cells_[metric * plan_.points + i];
      if (cell.count == 0) continue;
      column.mean[i] = cell.mean();
      column.min[i] = cell.min;
      column.max[i] = cell.max;
    }
    series.columns[metrics_[metric]] = std::move(column);
  }
  return series;
}

}  // namespace aether::store
