#include "store/sql/sample_row.h"

#include <fmt/format.h>

namespace aether::store {

const std::string& sample_columns() {
  static const std::string columns = [] {
    std::string list = "time_us, sample_seq";
    for (const GpuMetric& metric : gpu_metrics()) list += fmt::format(", {}", metric.name);
    return list + ", performance_state, throttling_reasons, xid_last_time_us";
  }();
  return columns;
}

GpuSample decode_sample_row(const SqlRow& row, std::size_t first) {
  GpuSample sample;
  sample.sample_time = from_unix_us(row.integer(first));
  sample.sample_seq = static_cast<std::uint64_t>(row.integer(first + 1));
  std::size_t column = first + 2;
  for (const GpuMetric& metric : gpu_metrics())
    if (const auto value = row.optional_real(column++)) metric.set(sample, *value);
  sample.performance_state = row.optional_text(column);
  sample.throttling_reasons = row.optional_text(column + 1);
  if (const auto time = row.optional_integer(column + 2)) sample.xid_last_time = from_unix_us(*time);
  return sample;
}

}  // namespace aether::store
