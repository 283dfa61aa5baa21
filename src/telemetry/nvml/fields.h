#pragma once
// The fields of nvmlDeviceGetFieldValues that Aether reads, by tier, and where each value goes. One call reads a tier; an
// id that a device or library does not know is not asked for again.
#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "model/gpu.h"
#include "telemetry/gpu_detail.h"
#include "telemetry/nvml/abi.h"

namespace aether::nvml {

enum class FieldTier { kFast, kState, kStatic };

struct FieldRow {
  std::uint32_t id;
  std::uint32_t scope;
  FieldTier tier;
  GpuDetailField detail;  // kCount: it goes into the sample
  double scale;           // value in our unit = value x scale
};
// All rows; at most kMaxFieldsPerTier of one tier.
std::span<const FieldRow> field_rows();
inline constexpr std::size_t kMaxFieldsPerTier = 32;

// One device's fields: which are still asked for, and the wide counters behind narrow ones.
class Fields {
 public:
  Fields();
  // The rows to ask for now.
  const std::vector<const FieldRow*>& rows(FieldTier tier) const { return rows_[static_cast<std::size_t>(tier)]; }
  void forget(const FieldRow& row);
  // A good value. A counter of 32 bits that fell has wrapped.
  void take(const FieldRow& row, const FieldValue& value, GpuSample& sample, GpuDetail& detail);

 private:
  std::array<std::vector<const FieldRow*>, 3> rows_;
  struct Wrap {
    std::uint64_t last = 0, base = 0;
  };
  std::map<std::pair<std::uint32_t, std::uint32_t>, Wrap> wraps_;
};

}  // namespace aether::nvml
