#include "client/top_frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "client/format.h"
#include "client/table.h"

namespace aether::client {
namespace {

constexpr std::size_t kBarWidth = 12;
constexpr double kHotC = 80;

std::optional<double> fraction_of(std::optional<double> part, std::optional<double> whole) {
  if (!part || !whole || *whole <= 0) return std::nullopt;
  return *part / *whole;
}

std::optional<double> sort_value(const Json& gpu, char sort) {
  const Json& sample = member(gpu, "sample");
  switch (sort) {
    case 't':
      return number_of(sample, "temperature_c");
    case 'm':
      return number_of(sample, "memory_used_mb");
    case 'p':
      return number_of(sample, "power_draw_w");
    default:
      return number_of(sample, "utilization_gpu");
  }
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

std::string nodes_line(const Json& nodes) {
  std::string line;
  for (const Json& node : items_of(nodes)) {
    line += fmt::format("{}{} {}", line.empty() ? "" : " · ", text_of(node, "node"), text_of(node, "state"));
    if (const auto hottest = number_of(node, "temperature_max_c"))
      line += fmt::format(" {:.0f} °C", *hottest);
  }
  return line;
}

std::string gpus_text(const Json& gpus, const TopView& view) {
  std::vector<Json> sorted(items_of(gpus).begin(), items_of(gpus).end());
  std::stable_sort(sorted.begin(), sorted.end(), [&](const Json& a, const Json& b) {
    return sort_value(a, view.sort).value_or(-1) > sort_value(b, view.sort).value_or(-1);
  });
  Table table({{"GPU"},
               {"STATE"},
               {"UTIL"},
               {"", Align::kRight},
               {"MEMORY"},
               {"", Align::kRight},
               {"TEMP", Align::kRight},
               {"POWER", Align::kRight},
               {"JOBS"}});
  for (const Json& gpu : sorted) {
    const Json& sample = member(gpu, "sample");
    const auto utilisation = number_of(sample, "utilization_gpu"),
               temperature = number_of(sample, "temperature_c");
    const auto memory = fraction_of(number_of(sample, "memory_used_mb"), number_of(gpu, "memory_total_mb"));
    std::string jobs;
    for (const Json& job : items_of(gpu, "jobs"))
      jobs += fmt::format("{}{} {}", jobs.empty() ? "" : ", ", text_of(job, "number"), text_of(job, "name"));
    table.add_row({text_of(gpu, "gpu_id"), text_of(gpu, "state"),
                   Cell(bar(fraction_of(utilisation, 100.0), kBarWidth), Colour::kGreen),
                   quantity_text(utilisation, "%"), Cell(bar(memory, kBarWidth), Colour::kCyan),
                   quantity_text(memory ? std::optional(*memory * 100) : std::nullopt, "%"),
                   Cell(quantity_text(temperature, "°C"),
                        temperature && *temperature >= kHotC ? Colour::kRed : Colour::kNone),
                   quantity_text(number_of(sample, "power_draw_w"), "W"), jobs});
  }
  return table.render({.width = view.width, .headers = true, .colours = view.colours});
}

std::string jobs_text(const Json& jobs, const TopView& view) {
  Table table({{"JOB", Align::kRight},
               {"NAME"},
               {"STATE"},
               {"GPUS", Align::kRight},
               {"FOR", Align::kRight},
               {"PLACE OR REASON"}});
  for (const Json& job : items_of(jobs)) {
    const bool started = member(job, "started_at").is_string();
    std::string place = joined(items_of(job, "gpu_ids"), " ");
    if (place.empty()) place = text_of(member(job, "reason"), "summary");
    table.add_row({text_of(job, "number"), text_of(job, "name"),
                   Cell(text_of(job, "state"), started ? Colour::kGreen : Colour::kYellow),
                   text_of(job, "gpus"), age_text(job, started ? "started_at" : "submitted_at", view.now),
                   place});
  }
  return table.row_count() == 0
             ? "no jobs\n"
             : table.render({.width = view.width, .headers = true, .colours = view.colours});
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

std::string top_frame(const TopReplies& replies, const TopView& view) {
  std::string out = truncated(visible(summary_line(replies.fleet)), view.width) + "\n";
  if (const std::string nodes = nodes_line(replies.nodes); !nodes.empty())
    out += truncated(visible(nodes), view.width) + "\n";
  out += "\n" + gpus_text(replies.gpus, view) + "\n" + jobs_text(replies.jobs, view);
  return view.height == 0 ? out : first_lines(out, view.height);
}

}  // namespace aether::client
