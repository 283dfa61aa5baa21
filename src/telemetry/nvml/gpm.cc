#include "telemetry/nvml/gpm.h"

#include <cmath>
#include <utility>

#include "telemetry/nvml/return_code.h"

namespace aether::nvml {
namespace {

using D = GpuDetailField;

struct MetricRow {
  std::uint32_t id;
  D field;
  double highest;
};
constexpr double kPercent = 100.5;      // rounding of the library
constexpr double kMebibytes = 1 << 24;  // per second: far above any link
constexpr MetricRow kRows[] = {
    {1, D::kEngineActivePct, kPercent},      {2, D::kSmActivePct, kPercent},         {3, D::kSmOccupancyPct, kPercent},
    {4, D::kIntActivePct, kPercent},         {5, D::kTensorActivePct, kPercent},     {6, D::kTensorDfmaActivePct, kPercent},
    {7, D::kTensorHmmaActivePct, kPercent},  {9, D::kTensorImmaActivePct, kPercent}, {10, D::kDramActivePct, kPercent},
    {11, D::kFp64ActivePct, kPercent},       {12, D::kFp32ActivePct, kPercent},      {13, D::kFp16ActivePct, kPercent},
    {20, D::kPcieTxMbPerS, kMebibytes},      {21, D::kPcieRxMbPerS, kMebibytes},     {61, D::kNvlinkTxMbPerS, kMebibytes},
    {60, D::kNvlinkRxMbPerS, kMebibytes},
};

constexpr Duration kShortestWindow = std::chrono::milliseconds(100);
constexpr Duration kLongestWindow = std::chrono::minutes(10);

bool complete(const Functions& f) {
  return f.gpm_sample_alloc && f.gpm_sample_free && f.gpm_sample_get && f.gpm_metrics_get;
}

}  // namespace

std::unique_ptr<GpmReader> GpmReader::open(const Functions& functions, DeviceHandle device) {
  if (!complete(functions) || !functions.gpm_query_support) return nullptr;
  GpmSupport support{.version = kGpmVersion, .supported = 0};
  if (functions.gpm_query_support(device, &support) != kSuccess || support.supported == 0) return nullptr;
  std::unique_ptr<GpmReader> reader(new GpmReader(functions, device, std::nullopt));
  return reader->allocate() ? std::move(reader) : nullptr;
}

std::unique_ptr<GpmReader> GpmReader::open_instance(const Functions& functions, DeviceHandle parent,
                                                    std::uint32_t instance) {
  if (!complete(functions) || !functions.gpm_mig_sample_get) return nullptr;
  std::unique_ptr<GpmReader> reader(new GpmReader(functions, parent, instance));
  return reader->allocate() ? std::move(reader) : nullptr;
}

GpmReader::~GpmReader() {
  if (previous_) functions_.gpm_sample_free(previous_);
  if (current_) functions_.gpm_sample_free(current_);
}

bool GpmReader::allocate() {
  if (functions_.gpm_sample_alloc(&previous_) != kSuccess) previous_ = nullptr;
  if (functions_.gpm_sample_alloc(&current_) != kSuccess) current_ = nullptr;
  if (!previous_ || !current_) return false;
  request_ = std::make_unique<GpmMetricsGet>();
  return true;
}

bool GpmReader::take_sample(GpmSample sample) const {
  return (instance_ ? functions_.gpm_mig_sample_get(device_, *instance_, sample)
                    : functions_.gpm_sample_get(device_, sample)) == kSuccess;
}

void GpmReader::read(Mono now, GpuDetail& into) {
  const bool fresh = sampled_at_ && now - *sampled_at_ <= kLongestWindow;
  if (!fresh || now - *sampled_at_ >= kShortestWindow) {
    values_ = GpuDetail();
    std::swap(previous_, current_);
    if (take_sample(current_)) {
      sampled_at_ = now;
      if (fresh) compute();
    } else {
      sampled_at_.reset();
    }
  }
  for (const MetricRow& row : kRows) into.set(row.field, values_.get(row.field));
}

void GpmReader::compute() {
  request_->version = kGpmVersion;
  request_->count = static_cast<std::uint32_t>(std::size(kRows));
  request_->first = previous_;
  request_->second = current_;
  for (std::size_t i = 0; i < std::size(kRows); ++i)
    request_->metrics[i] = GpmMetric{kRows[i].id, kUnknown, std::nan(""), nullptr, nullptr, nullptr};
  if (functions_.gpm_metrics_get(request_.get()) != kSuccess) return;
  for (std::size_t i = 0; i < std::size(kRows); ++i) {
    const GpmMetric& metric = request_->metrics[i];
    if (metric.result == kSuccess && std::isfinite(metric.value) && metric.value >= 0 && metric.value <= kRows[i].highest)
      values_.set(kRows[i].field, metric.value);
  }
}

}  // namespace aether::nvml
