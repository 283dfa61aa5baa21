#include "agent/text_writer.h"

#include <cmath>

#include <fmt/format.h>

namespace aether {
namespace {

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
}

std::string number_text(double value, NumberFormat number) {
  constexpr double kExact = 9007199254740992.0;  // whole numbers up to here are exact
  if (value == std::floor(value) && std::abs(value) < kExact && number == NumberFormat::kShortest)
    return fmt::format("{}", static_cast<std::int64_t>(value));
  return number == NumberFormat::kSixDecimals ? fmt::format("{:.6f}", value) : fmt::format("{}", value);
}

}  // namespace

void TextWriter::family(std::string_view name, MetricType type, std::string_view help) {
  name_ = name;
  const bool open = format_ == TextFormat::kOpenMetrics;
  const bool total = name.ends_with("_total");
  std::string_view type_text = type == MetricType::kCounter ? "counter" : "gauge";
  std::string_view shown = name;
  if (open && type == MetricType::kCounter) {
    if (total)
      shown.remove_suffix(std::string_view("_total").size());
    else
      type_text = "unknown";
  }
  head_ = fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", shown, help, type_text);
}

void TextWriter::line(const Labels& labels, double value, NumberFormat number) {
  if (!std::isfinite(value)) return;
  out_ += std::exchange(head_, {});
  out_ += name_;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    out_ += i == 0 ? '{' : ',';
    out_ += labels[i].first;
    out_ += "=\"";
    append_escaped(out_, labels[i].second);
    out_ += '"';
  }
  if (!labels.empty()) out_ += '}';
  out_ += ' ';
  out_ += number_text(value, number);
  out_ += '\n';
}

std::string TextWriter::take() {
  if (format_ == TextFormat::kOpenMetrics) out_ += "# EOF\n";
  return std::exchange(out_, {});
}

std::string_view content_type(TextFormat format) {
  return format == TextFormat::kOpenMetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                            : "text/plain; version=0.0.4; charset=utf-8";
}

}  // namespace aether
