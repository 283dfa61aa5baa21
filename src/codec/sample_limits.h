#pragma once
// Internal to codec/: what a telemetry number may be. A value outside is a broken driver call or a forged message.
#include <string_view>

namespace aether::codec {

struct SampleLimit {
  std::string_view name;  // as in gpu_metrics(), in the same order
  double low = 0;
  double high = 0;
  bool whole = false;     // integers only
};

// The limit of gpu_metrics()[index].
const SampleLimit& sample_limit(std::size_t index);
std::size_t sample_limit_count();

// Numbers with which drivers and DCGM say "no value" (docs of DCGM: dcgm_structs.h, DCGM_*_BLANK and the three above).
bool is_sentinel(double value);

}  // namespace aether::codec
