#include "client/top_frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "client/format.h"
#include "client/table.h"

namespace aether::client {
namespace {

constexpr std::size_t kBarWidth = 12, kNarrowBarWidth = 6, kSparkWidth = 20;
constexpr std::size_t kNarrow = 100;  // columns; below it bars are short
constexpr double kHotC = 80;

std::optional<double> fraction_of(std::optional<double> part, std::optional<double> whole) {
  if (!part || !whole || *whole <= 0) return std::nullopt;
  return *part / *whole;
}

std::optional<double> sort_value(const Json& gpu, char sort) {
  const Json& sample = member(gpu, "sample");
  switch (sort) {
    case 't': return number_of(sample, "temperature_c");
    case 'm': return number_of(sample, "memory_used_mb");
    case 'p': return number_of(sample, "power_draw_w");
    default: return number_of(sample, "utilization_gpu");
  }
}

bool comes_before(const Json& a, const Json& b, char sort) {
  const auto place = [](const Json& gpu) { return std::pair(text_of(gpu, "node"), number_of(gpu, "gpu_index").value_or(-1)); };
  if (sort == 'n') return place(a) < place(b);
  return sort_value(a, sort).value_or(-1) > sort_value(b, sort).value_or(-1);
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool passes(const TopView& view, const std::string& text) {
  return view.filter.empty() || lower(text).find(lower(view.filter)) != std::string::npos;
}

std::string jobs_of(const Json& gpu) {
  std::string jobs;
  for (const Json& job : items_of(gpu, "jobs"))
    jobs += fmt::format("{}{} {}", jobs.empty() ? "" : ", ", text_of(job, "number"), text_of(job, "name"));
  if (!jobs.empty()) return jobs;
  // Somebody computes here, and it is nobody's job.
  const Json& processes = items_of(member(gpu, "sample"), "processes");
  for (const Json& process : processes) jobs += (jobs.empty() ? "foreign: " : ", ") + text_of(process, "pid");
  return jobs;
}

std::string summary_line(const Json& fleet) {
  std::string line =
      fmt::format("GPUs {}: {} allocated, {} free, {} out", text_of(fleet, "gpus_total"),
                  text_of(fleet, "gpus_allocated"), text_of(fleet, "gpus_free"), text_of(fleet, "gpus_out"));
  line += fmt::format(" · busy {} · {} W of {}", quantity_text(number_of(fleet, "busy_pct"), "%"),
                      quantity_text(number_of(fleet, "power_draw_w"), ""),
                      quantity_text(number_of(fleet, "power_limit_w"), "W"));
  line += fmt::format(" · jobs {} running, {} waiting", text_of(fleet, "jobs_running"),
                      text_of(fleet, "jobs_pending"));
  const Json& carbon = member(fleet, "carbon");
  if (carbon.is_object()) line += " · " + quantity_text(number_of(carbon, "intensity_g_per_kwh"), "g/kWh");
  return flag_of(fleet, "simulated") ? line + " · simulated" : line;
}

std::string node_line(const Json& node, std::string_view name) {
  std::string line = fmt::format("{} {}", name, text_of(node, "state"));
  if (const auto hottest = number_of(node, "temperature_max_c")) line += fmt::format(" {:.0f} °C", *hottest);
  return line;
}

// The rendered table, line by line; the first one is the title.
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

std::vector<Json> shown_gpus(const Json& gpus, const TopView& view) {
  std::vector<Json> shown;
  for (const Json& gpu : items_of(gpus))
    if (passes(view, fmt::format("{} {} {} {}", text_of(gpu, "gpu_id"), text_of(gpu, "state"), text_of(gpu, "gpu_name"), jobs_of(gpu))))
      shown.push_back(gpu);
  std::stable_sort(shown.begin(), shown.end(), [&](const Json& a, const Json& b) {
    if (view.by_node && text_of(a, "node") != text_of(b, "node")) return text_of(a, "node") < text_of(b, "node");
    return comes_before(a, b, view.sort);
  });
  return shown;
}

std::string gpus_table(const std::vector<Json>& gpus, const TopView& view) {
  const std::size_t bar_width = view.width < kNarrow ? kNarrowBarWidth : kBarWidth;
  std::vector<Column> columns = {{"GPU"}, {"STATE"}, {"UTIL"}, {"", Align::kRight}};
  if (view.history) columns.push_back({"LATELY"});
  columns.insert(columns.end(), {{"MEMORY"}, {"", Align::kRight}, {"TEMP", Align::kRight}, {"POWER", Align::kRight}, {"JOBS"}});
  Table table(columns);
  for (const Json& gpu : gpus) {
    const Json& sample = member(gpu, "sample");
    const auto utilisation = number_of(sample, "utilization_gpu"), temperature = number_of(sample, "temperature_c");
    const auto memory = fraction_of(number_of(sample, "memory_used_mb"), number_of(gpu, "memory_total_mb"));
    const std::string id = text_of(gpu, "gpu_id"), state = text_of(gpu, "state");
    const bool out = state == "quarantined" || state == "lost" || state == "out";
    std::vector<Cell> cells = {id, Cell(state, out ? Colour::kRed : Colour::kNone),
                               Cell(bar(fraction_of(utilisation, 100.0), bar_width), Colour::kGreen), quantity_text(utilisation, "%")};
    if (view.history) {
      const auto known = view.history->find(id);
      cells.push_back(Cell(known == view.history->end() ? "" : sparkline(known->second, view.width < kNarrow ? kSparkWidth / 2 : kSparkWidth),
                           Colour::kGreen));
    }
    cells.insert(cells.end(), {Cell(bar(memory, bar_width), Colour::kCyan),
                               quantity_text(memory ? std::optional(*memory * 100) : std::nullopt, "%"),
                               Cell(quantity_text(temperature, "°C"), temperature && *temperature >= kHotC ? Colour::kRed : Colour::kNone),
                               quantity_text(number_of(sample, "power_draw_w"), "W"), jobs_of(gpu)});
    table.add_row(std::move(cells));
  }
  return table.render({.width = view.width, .headers = true, .colours = view.colours});
}

std::string first_lines(const std::string& text, std::size_t lines) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < lines && at < text.size(); ++i)
    at = std::min(text.find('\n', at), text.size() - 1) + 1;
  return text.substr(0, at);
}

}  // namespace

std::string bar(std::optional<double> fraction, std::size_t width) {
  constexpr std::array kEighths{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  std::string out;
  if (!fraction || !std::isfinite(*fraction)) {
    for (std::size_t i = 0; i < width; ++i) out += "·";
    return out;
  }
  const auto eighths =
      static_cast<std::size_t>(std::lround(std::clamp(*fraction, 0.0, 1.0) * static_cast<double>(width * 8)));
  for (std::size_t i = 0; i < eighths / 8; ++i) out += "█";
  out += kEighths[eighths % 8];
  return padded(out, width);
}

std::string sparkline(const std::deque<std::optional<double>>& fractions, std::size_t width) {
  constexpr std::array kLevels{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string out;
  const std::size_t first = fractions.size() > width ? fractions.size() - width : 0;
  for (std::size_t i = first; i < fractions.size(); ++i) {
    const auto& value = fractions[i];
    const bool known = value && std::isfinite(*value);
    out += known ? kLevels[static_cast<std::size_t>(std::lround(std::clamp(*value, 0.0, 1.0) * (kLevels.size() - 1)))] : "·";
  }
  return padded(out, width, Align::kRight);
}

std::vector<TopLine> top_summary(const TopReplies& replies, const TopView& view) {
  std::vector<TopLine> out = {{truncated(visible(summary_line(replies.fleet)), view.width)}};
  std::string nodes;
  for (const Json& node : items_of(replies.nodes)) nodes += (nodes.empty() ? "" : " · ") + node_line(node, text_of(node, "node"));
  if (!view.by_node && !nodes.empty()) out.push_back({truncated(visible(nodes), view.width)});
  return out;
}

std::vector<TopLine> top_gpus(const TopReplies& replies, const TopView& view) {
  const std::vector<Json> gpus = shown_gpus(replies.gpus, view);
  const auto lines = lines_of(gpus_table(gpus, view));
  std::vector<TopLine> out = {{lines.empty() ? "" : lines[0]}};
  for (std::size_t i = 0; i < gpus.size() && i + 1 < lines.size(); ++i) {
    const std::string node = text_of(gpus[i], "node");
    if (view.by_node && (i == 0 || node != text_of(gpus[i - 1], "node"))) {
      std::string title = node;
      for (const Json& known : items_of(replies.nodes))
        if (text_of(known, "node") == node) title = node_line(known, node);
      out.push_back({coloured(truncated(visible(title), view.width), Colour::kBold, view.colours)});
    }
    TopLine line{lines[i + 1]};
    line.is_row = true;
    if (const Json& jobs = items_of(gpus[i], "jobs"); !jobs.empty()) {
      line.job = text_of(jobs[0], "job_id");
      line.label = text_of(jobs[0], "number") + " " + text_of(jobs[0], "name");
    }
    out.push_back(std::move(line));
  }
  return out;
}

std::vector<TopLine> top_jobs(const TopReplies& replies, const TopView& view) {
  Table table({{"JOB", Align::kRight}, {"NAME"}, {"USER"}, {"STATE"}, {"GPUS", Align::kRight}, {"FOR", Align::kRight}, {"PLACE OR REASON"}});
  std::vector<const Json*> shown;
  for (const Json& job : items_of(replies.jobs)) {
    const bool started = member(job, "started_at").is_string();
    std::string place = joined(items_of(job, "gpu_ids"), " ");
    if (place.empty()) place = text_of(member(job, "reason"), "summary");
    if (!passes(view, fmt::format("{} {} {} {} {}", text_of(job, "number"), text_of(job, "name"), text_of(job, "user"), text_of(job, "state"), place)))
      continue;
    shown.push_back(&job);
    table.add_row({text_of(job, "number"), text_of(job, "name"), text_of(job, "user"),
                   Cell(text_of(job, "state"), started ? Colour::kGreen : Colour::kYellow), text_of(job, "gpus"),
                   age_text(job, started ? "started_at" : "submitted_at", view.now), place});
  }
  if (shown.empty()) return {{view.filter.empty() ? "no jobs" : "no job holds this text"}};
  const auto lines = lines_of(table.render({.width = view.width, .headers = true, .colours = view.colours}));
  std::vector<TopLine> out = {{lines[0]}};
  for (std::size_t i = 0; i < shown.size() && i + 1 < lines.size(); ++i)
    out.push_back({lines[i + 1], text_of(*shown[i], "job_id"), text_of(*shown[i], "number") + " " + text_of(*shown[i], "name"), true});
  return out;
}

std::string top_frame(const TopReplies& replies, const TopView& view) {
  std::string out;
  const auto add = [&](const std::vector<TopLine>& lines) {
    for (const TopLine& line : lines) out += line.text + "\n";
  };
  add(top_summary(replies, view));
  out += "\n";
  add(top_gpus(replies, view));
  out += "\n";
  add(top_jobs(replies, view));
  return view.height == 0 ? out : first_lines(out, view.height);
}

}  // namespace aether::client
