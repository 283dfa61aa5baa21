#pragma once
// The text format of Prometheus, and of OpenMetrics where the scraper asks for it.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace aether {

enum class TextFormat { kPrometheus, kOpenMetrics };
enum class MetricType { kGauge, kCounter };
enum class NumberFormat {
  kShortest,
  kSixDecimals,  // "302.206000", as dcgm-exporter writes what is not a whole number
};

using Labels = std::vector<std::pair<std::string_view, std::string>>;

// One family after the other: family(), then its lines. A family without a line is not written, nor is a number that is
// none. A counter whose name does not end in _total can't be one in OpenMetrics and has no type there.
class TextWriter {
 public:
  explicit TextWriter(TextFormat format) : format_(format) {}

  void family(std::string_view name, MetricType type, std::string_view help);
  void line(const Labels& labels, double value, NumberFormat number = NumberFormat::kShortest);
  std::string take();

 private:
  const TextFormat format_;
  std::string name_, head_;  // head_: of the family whose first line is still to come
  std::string out_;
};

std::string_view content_type(TextFormat format);

}  // namespace aether
