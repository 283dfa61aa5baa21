#include "telemetry/nvml/return_code.h"

#include <array>
#include <string_view>

#include <fmt/format.h>

namespace aether::nvml {
namespace {

struct Row {
  Return code;
  std::string_view name;
  CodeClass code_class;
};

constexpr std::array kRows = {
    Row{0, "SUCCESS", CodeClass::kOk},
    Row{1, "UNINITIALIZED", CodeClass::kReinitialise},
    Row{2, "INVALID_ARGUMENT", CodeClass::kOwnBug},
    Row{3, "NOT_SUPPORTED", CodeClass::kSkipMetric},
    Row{4, "NO_PERMISSION", CodeClass::kSkipOnce},
    Row{5, "ALREADY_INITIALIZED", CodeClass::kOwnBug},
    Row{6, "NOT_FOUND", CodeClass::kSkipOnce},
    Row{7, "INSUFFICIENT_SIZE", CodeClass::kResize},
    Row{8, "INSUFFICIENT_POWER", CodeClass::kAlarm},
    Row{9, "DRIVER_NOT_LOADED", CodeClass::kReinitialise},
    Row{10, "TIMEOUT", CodeClass::kWaitEnded},
    Row{11, "IRQ_ISSUE", CodeClass::kAlarm},
    Row{12, "LIBRARY_NOT_FOUND", CodeClass::kReinitialise},
    Row{13, "FUNCTION_NOT_FOUND", CodeClass::kSkipMetric},
    Row{14, "CORRUPTED_INFOROM", CodeClass::kAlarm},
    Row{15, "GPU_IS_LOST", CodeClass::kLost},
    Row{16, "RESET_REQUIRED", CodeClass::kLost},
    Row{17, "OPERATING_SYSTEM", CodeClass::kReinitialise},
    Row{18, "LIB_RM_VERSION_MISMATCH", CodeClass::kReinitialise},
    Row{19, "IN_USE", CodeClass::kSkipOnce},
    Row{20, "MEMORY", CodeClass::kOwnBug},
    Row{21, "NO_DATA", CodeClass::kSkipOnce},
    Row{22, "VGPU_ECC_NOT_SUPPORTED", CodeClass::kSkipMetric},
    Row{23, "INSUFFICIENT_RESOURCES", CodeClass::kOwnBug},
    Row{24, "FREQ_NOT_SUPPORTED", CodeClass::kSkipMetric},
    Row{25, "ARGUMENT_VERSION_MISMATCH", CodeClass::kSkipMetric},
    Row{26, "DEPRECATED", CodeClass::kSkipMetric},
    Row{27, "NOT_READY", CodeClass::kSkipOnce},
    Row{28, "GPU_NOT_FOUND", CodeClass::kReinitialise},
    Row{29, "INVALID_STATE", CodeClass::kSkipOnce},
    Row{30, "RESET_TYPE_NOT_SUPPORTED", CodeClass::kOwnBug},
    Row{999, "UNKNOWN", CodeClass::kNothingKnown},
};

const Row* find_row(Return code) {
  for (const Row& row : kRows)
    if (row.code == code) return &row;
  return nullptr;
}

}  // namespace

CodeClass classify(Return code) {
  const Row* row = find_row(code);
  return row ? row->code_class : CodeClass::kSkipOnce;
}

std::string describe(Return code) {
  const Row* row = find_row(code);
  return fmt::format("{} ({})", row ? row->name : "unnamed code", code);
}

}  // namespace aether::nvml
