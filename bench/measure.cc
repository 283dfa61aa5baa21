#include "measure.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace aether::bench {

Percentiles percentiles(std::vector<double>& values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
    return values[std::min(values.size(), std::max<std::size_t>(rank, 1)) - 1];
  };
  return {at(0.5), at(0.9), at(0.99), values.back()};
}

std::string in_milliseconds(const Percentiles& p) {
  return fmt::format("p50 {:.2f} ms  p90 {:.2f} ms  p99 {:.2f} ms  max {:.2f} ms", p.p50 * 1e3, p.p90 * 1e3, p.p99 * 1e3, p.max * 1e3);
}

}  // namespace aether::bench
