#include "carbon/recorded/series_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "base/files.h"

namespace aether::carbon {
namespace {

constexpr Duration kStep = std::chrono::minutes(30);
constexpr Duration kDay = std::chrono::hours(24);
constexpr Duration kWeek = 7 * kDay;
constexpr Duration kLongestGap = std::chrono::hours(3);
constexpr double kMostPlausible = 2000;  // g/kWh; lignite has about 1,200

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\"");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\"") - first + 1);
}

tl::unexpected<Error> bad_line(int number, std::string_view message) {
  return fail(ErrorCode::kCorrupt, fmt::format("line {}: {}", number, message));
}

Result<CarbonPoint> parse_line(std::string_view line, int number) {
  const std::size_t comma = line.find(',');
  if (comma == std::string_view::npos) return bad_line(number, "no comma; write time,intensity");
  const auto time = parse_rfc3339(trimmed(line.substr(0, comma)));
  if (!time) return bad_line(number, time.error().message);
  const std::string_view text = trimmed(line.substr(comma + 1));
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) || value < 0 ||
      value > kMostPlausible)
    return bad_line(number, fmt::format("'{}' is no intensity between 0 and {} g/kWh", text, kMostPlausible));
  return CarbonPoint{*time, value};
}

Result<void> check_order(const CarbonPoint& previous, const CarbonPoint& point, int number) {
  if (point.time <= previous.time)
    return bad_line(
        number, fmt::format("{} is not after {}", format_rfc3339(point.time), format_rfc3339(previous.time)));
  if (point.time - previous.time > kLongestGap)
    return bad_line(number, fmt::format("nothing between {} and {}; the longest gap is 3 h",
                                        format_rfc3339(previous.time), format_rfc3339(point.time)));
  return {};
}

Result<std::vector<CarbonPoint>> parse_series(std::string_view csv) {
  std::vector<CarbonPoint> points;
  int number = 0;
  while (!csv.empty()) {
    const std::size_t end = std::min(csv.find('\n'), csv.size());
    const std::string_view line = trimmed(csv.substr(0, end));
    csv.remove_prefix(std::min(end + 1, csv.size()));
    ++number;
    if (line.empty() || line[0] == '#') continue;
    if (number == 1 && std::isdigit(static_cast<unsigned char>(line[0])) == 0) continue;
    const auto point = parse_line(line, number);
    if (!point) return fail(point.error());
    if (!points.empty()) AETHER_TRY(check_order(points.back(), *point, number));
    points.push_back(*point);
  }
  return points;
}

std::string date_of(Time time) { return format_rfc3339(time).substr(0, 10); }

}  // namespace

SeriesSource::SeriesSource(std::vector<CarbonPoint> points, SeriesOptions options)
    : points_(std::move(points)), options_(std::move(options)) {
  end_ = points_.back().time + (points_.back().time - points_[points_.size() - 2].time);
  const Duration length = end_ - points_.front().time;
  const Duration unit = length >= kWeek ? kWeek : kDay;
  period_ = length / unit * unit;
}

Result<std::unique_ptr<SeriesSource>> SeriesSource::from_text(std::string_view csv,
                                                              const SeriesOptions& options) {
  auto points = parse_series(csv);
  if (!points) return fail_with_context(options.path, points.error());
  // The last value holds for as long as the one before it did.
  if (points->size() < 2 ||
      points->back().time - points->front().time + (points->back().time - (*points)[points->size() - 2].time) < kDay)
    return fail(ErrorCode::kCorrupt, fmt::format("{}: less than one day of values", options.path));
  return std::unique_ptr<SeriesSource>(new SeriesSource(std::move(*points), options));
}

Result<std::unique_ptr<SeriesSource>> SeriesSource::open(const SeriesOptions& options) {
  const auto content = read_file(options.path);
  if (!content) return fail(content.error());
  return from_text(*content, options);
}

bool SeriesSource::holds(Time from, Time to) const { return from >= points_.front().time && to <= end_; }

Time SeriesSource::recorded_time(Time time) const {
  Duration offset = (time - points_.front().time) % period_;
  if (offset < Duration(0)) offset += period_;
  return points_.front().time + offset;
}

double SeriesSource::mean_g_per_kwh(Time from, Time to) const {
  auto point = std::upper_bound(points_.begin(), points_.end(), from,
                                [](Time time, const CarbonPoint& p) { return time < p.time; });
  if (point != points_.begin()) --point;
  double sum = 0;
  for (Time start = from; start < to && point != points_.end(); ++point) {
    const Time next = point + 1 == points_.end() ? to : std::min(to, (point + 1)->time);
    if (next <= start) continue;
    sum += point->intensity_g_per_kwh * static_cast<double>((next - start).count());
    start = next;
  }
  return sum / static_cast<double>((to - from).count());
}

Result<CarbonReport> SeriesSource::fetch(Time now) {
  const Time slot = now - now.time_since_epoch() % kStep;
  const bool replayed = !holds(slot, slot + kDay);
  const auto value_at = [&](Time time) {
    const Time from = replayed ? recorded_time(time) : time;
    return mean_g_per_kwh(from, from + kStep);
  };
  CarbonReport report;
  report.zone = options_.zone;
  report.source = "recorded series " + options_.path.substr(options_.path.rfind('/') + 1);
  report.label = fmt::format("recorded {} to {}{}", date_of(points_.front().time),
                             date_of(points_.back().time), replayed ? ", replayed, not measured today" : "");
  report.is_estimated = replayed;
  report.intensity_g_per_kwh = value_at(slot);
  report.observed_at = slot;
  report.received_at = now;
  for (Time time = slot; time < slot + kDay; time += kStep) report.forecast.push_back({time, value_at(time)});
  return report;
}

}  // namespace aether::carbon
