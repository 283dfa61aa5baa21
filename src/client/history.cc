// `aether history`: what GPUs, nodes, jobs and the fleet were doing.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/quantity.h"
#include "base/ulid.h"
#include "client/past.h"
#include "client/plot.h"
#include "client/verbs.h"

namespace aether::client {
namespace {

struct Subject {
  std::string scope, id;
};

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789_") == std::string::npos && text.front() != '_';
}

// What a name may mean, likeliest first.
Outcome<std::vector<Subject>> subjects_of(const std::vector<std::string>& words) {
  const std::string& first = words.front();
  if (first == "fleet" && words.size() == 1) return std::vector<Subject>{{"fleet", ""}};
  if (words.size() == 2 && (first == "gpu" || first == "node" || first == "job")) return std::vector<Subject>{{first, words[1]}};
  if (words.size() > 1)
    return failed(kUsage, "write fleet, the name of a GPU, node or job, or gpu NAME, node NAME, job NAME");
  if (first.starts_with("GPU-") || first.starts_with("MIG-") || first.starts_with("external-")) return std::vector<Subject>{{"gpu", first}};
  if (is_number(first) || is_ulid(first)) return std::vector<Subject>{{"job", first}};
  const std::size_t dash = first.rfind('-');
  if (dash != std::string::npos && is_number(first.substr(dash + 1))) return std::vector<Subject>{{"gpu", first}, {"node", first}, {"job", first}};
  return std::vector<Subject>{{"node", first}, {"job", first}};
}

// One curve of the answer.
struct Curve {
  std::string group, metric, statistic;
  std::vector<std::optional<double>> values;
  std::size_t read = 0;  // values that are there
  double low = 0, mean = 0, high = 0;
  std::optional<double> last;
};

Curve curve_of(const std::string& group, const std::string& metric, const std::string& statistic, const Json& values) {
  Curve curve{group, metric, statistic, {}, 0, 0, 0, 0, {}};
  for (const Json& value : values) {
    curve.values.push_back(value.is_number() ? std::optional(value.get<double>()) : std::nullopt);
    if (!value.is_number()) continue;
    const double number = value.get<double>();
    curve.low = curve.read == 0 ? number : std::min(curve.low, number);
    curve.high = curve.read == 0 ? number : std::max(curve.high, number);
    curve.mean += number;
    curve.last = number;
    ++curve.read;
  }
  if (curve.read > 0) curve.mean /= static_cast<double>(curve.read);
  return curve;
}

std::vector<Curve> curves_of(const Json& answer) {
  std::vector<Curve> curves;
  for (const Json& group : items_of(answer, "groups")) {
    const Json& series = member(group, "series");
    if (!series.is_object()) continue;
    for (const auto& [metric, statistics] : series.items())
      for (const auto& [statistic, values] : statistics.items())
        if (statistic != "gpus") curves.push_back(curve_of(text_of(group, "name"), metric, statistic, values));
  }
  return curves;
}

std::vector<Time> times_of(const Json& answer) {
  std::vector<Time> times;
  for (const Json& ms : items_of(answer, "time"))
    times.push_back(ms.is_number() ? from_unix_us(ms.get<std::int64_t>() * 1000) : Time());
  return times;
}

std::string number_text(std::optional<double> value) {
  if (!value) return "-";
  return std::abs(*value) >= 1e6 || *value == std::floor(*value) ? fmt::format("{:.0f}", *value) : fmt::format("{:.4g}", *value);
}

std::string source_text(const Json& answer) {
  const std::string level = text_of(answer, "level");
  const auto step = std::chrono::seconds(integer_of(answer, "step_s").value_or(0));
  return fmt::format("steps of {}, from {}", short_duration(step), level == "raw" ? "raw readings" : level + " rollups");
}

std::string holes_text(const Curve& curve) {
  return curve.read == curve.values.size() ? "" : fmt::format("; nothing was read in {} of {} steps", curve.values.size() - curve.read, curve.values.size());
}

void print_plot(Context& context, const Json& answer, const Curve& curve, std::size_t width) {
  const auto times = times_of(answer);
  PlotStyle style{.width = width, .height = std::clamp<std::size_t>(terminal_height(STDOUT_FILENO, 24) / 2, 4, 12),
                  .from = times.empty() ? "" : time_text(times.front(), context.zone()),
                  .to = times.empty() ? "" : time_text(times.back(), context.zone())};
  context.out() << visible(fmt::format("{} of {}, {}; {}", curve.metric, curve.group, curve.statistic, source_text(answer))) << "\n"
                << braille_plot(curve.values, style)
                << fmt::format("low {}  mean {}  high {}  last {}{}\n", number_text(curve.low), number_text(curve.mean),
                               number_text(curve.high), number_text(curve.last), holes_text(curve));
}

// A row for each curve, with a sparkline in what is left of the line.
void print_sparklines(Context& context, const Json& answer, const std::vector<Curve>& curves, std::size_t width) {
  constexpr std::size_t kLeast = 8, kMost = 60;
  std::vector<std::vector<std::string>> rows;
  std::size_t used = 6 * 2;
  for (const Curve& curve : curves) {
    const auto or_hole = [&](double value) { return curve.read > 0 ? number_text(value) : "-"; };
    rows.push_back({curve.group, curve.statistic + " " + curve.metric, or_hole(curve.low), or_hole(curve.mean), or_hole(curve.high),
                    number_text(curve.last)});
  }
  for (std::size_t column = 0; column < 6; ++column) {
    std::size_t widest = 4;
    for (const auto& row : rows) widest = std::max(widest, display_width(visible(row[column])));
    used += widest;
  }
  const std::size_t rest = width > used + kLeast ? std::min(width - used, kMost) : kLeast;
  Table table({{"NAME"}, {"WHAT"}, {"LOW", Align::kRight}, {"MEAN", Align::kRight}, {"HIGH", Align::kRight}, {"LAST", Align::kRight}, {"CURVE"}});
  for (std::size_t i = 0; i < curves.size(); ++i) {
    std::vector<Cell> cells(rows[i].begin(), rows[i].end());
    cells.emplace_back(sparkline(curves[i].values, rest));
    table.add_row(std::move(cells));
  }
  context.out() << table.render(context.table_style());
  const auto times = times_of(answer);
  if (!times.empty())
    context.out() << fmt::format("{} to {}, {}\n", time_text(times.front(), context.zone()), time_text(times.back(), context.zone()),
                                 source_text(answer));
}

// A row for each step, a column for each curve.
void print_table(Context& context, const Json& answer, const std::vector<Curve>& curves) {
  const bool one_group = items_of(answer, "groups").size() == 1;
  std::vector<Column> columns = {{"TIME"}};
  for (const Curve& curve : curves) {
    std::string title = fmt::format("{}_{}", curve.metric, curve.statistic);
    std::transform(title.begin(), title.end(), title.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    columns.push_back({one_group ? title : visible(curve.group) + " " + title, Align::kRight});
  }
  Table table(columns);
  const auto times = times_of(answer);
  for (std::size_t i = 0; i < times.size(); ++i) {
    std::vector<Cell> row = {time_text(times[i], context.zone())};
    for (const Curve& curve : curves) row.emplace_back(number_text(i < curve.values.size() ? curve.values[i] : std::nullopt));
    table.add_row(std::move(row));
  }
  context.out() << table.render(context.table_style());
}

Outcome<std::string> history_query(const HistoryFlags& flags, Time now) {
  std::string metrics;
  for (const std::string& metric : flags.metrics) metrics += (metrics.empty() ? "" : ",") + metric;
  std::string query = query_part("metrics", metrics.empty() ? "utilization_gpu" : metrics);
  query += query_part("agg", flags.aggregation) + query_part("by", flags.by);
  if (!flags.step.empty()) {
    const auto step = parse_duration(flags.step);
    if (!step) return failed(kUsage, "--step: " + step.error().message);
    query += query_part("step_s", std::to_string(step->count()));
  }
  const auto past = past_query(flags.past, now);
  if (!past) return failed(past.error());
  return query + *past;
}

}  // namespace

Outcome<int> history(Context& context, const HistoryFlags& flags) {
  const auto subjects = subjects_of(flags.what);
  if (!subjects) return failed(subjects.error());
  const auto query = history_query(flags, context.now());
  if (!query) return failed(query.error());
  Outcome<http::ClientResponse> reply = failed(kNotFound, "");
  const char* const format = context.output() == Output::kCsv ? "&format=csv" : "";
  for (const Subject& subject : *subjects) {
    reply = context.get_raw(fmt::format("/api/v1/history?scope={}{}{}{}", subject.scope, query_part("id", subject.id), *query, format));
    if (reply || reply.error().exit_code != kNotFound) break;
  }
  if (!reply && reply.error().exit_code == kNotFound && subjects->size() > 1)
    return failed(kNotFound, fmt::format("no GPU, node or job '{}'", flags.what.front()), "aether gpus, aether nodes and aether queue --all  list them");
  if (!reply) return failed(reply.error());
  if (context.output() == Output::kCsv || context.output() == Output::kJson) {
    context.out() << reply->body << (reply->body.ends_with('\n') ? "" : "\n");
    return kOk;
  }
  const Json answer = parse_json(reply->body);
  const std::vector<Curve> curves = curves_of(answer);
  const bool draws = (context.out_is_terminal() || flags.plot) && context.output() == Output::kTable && !context.options().parsable;
  const std::size_t width = terminal_width(STDOUT_FILENO, 80);
  if (!draws)
    print_table(context, answer, curves);
  else if (curves.size() == 1 && curves.front().read > 0)
    print_plot(context, answer, curves.front(), width);
  else
    print_sparklines(context, answer, curves, width);
  for (const Json& note : items_of(answer, "notes")) context.say(text_of(note));
  return kOk;
}

}  // namespace aether::client
