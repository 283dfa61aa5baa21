#pragma once
// What each return code of the library means for us. Codes this table lacks count as kSkipOnce.
#include <string>

#include "telemetry/nvml/abi.h"

namespace aether::nvml {

inline constexpr Return kSuccess = 0;
inline constexpr Return kNotFound = 6;
inline constexpr Return kInsufficientSize = 7;
inline constexpr Return kTimeout = 10;
inline constexpr Return kFunctionNotFound = 13;
inline constexpr Return kGpuIsLost = 15;
inline constexpr Return kUnknown = 999;

enum class CodeClass {
  kOk,
  kSkipMetric,    // this device or library can't do it: not asked again until the library is reloaded
  kSkipOnce,      // not now: asked again at the next reading
  kResize,        // the buffer was too small
  kWaitEnded,     // normal for an event wait
  kLost,          // this GPU is gone; the others go on
  kAlarm,         // the device complains and still answers
  kReinitialise,  // the library's whole state is void: shut down, unload, load again
  kNothingKnown,  // 999: skipped once; counts against the GPU when nothing else answers
  kOwnBug,        // we asked wrongly, or the machine is out of memory
};

CodeClass classify(Return code);
// "GPU_IS_LOST (15)".
std::string describe(Return code);

}  // namespace aether::nvml
