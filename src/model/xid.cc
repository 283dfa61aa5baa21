#include "model/xid.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace aether {
namespace {

using enum XidClass;
using enum XidAction;

constexpr std::string_view kReset = "Reset the GPU when no job is on it";
constexpr std::string_view kDiagnose = "Reset the GPU; if it comes again, have the hardware inspected";
constexpr std::string_view kLookAtJob = "Look at the application; it is the GPU only if other jobs meet it there too";

// Meaning and class follow NVIDIA's catalogue, also where other tools' labels contradict it.
constexpr XidInfo kCatalogue[] = {
    {8, 8, kApplication, kChargeJob, "the GPU stopped processing a channel", kLookAtJob},
    {11, 11, kApplication, kChargeJob, "invalid or corrupt push buffer", kLookAtJob},
    {13, 13, kApplication, kChargeJob, "graphics engine exception", kLookAtJob},
    {25, 25, kApplication, kChargeJob, "invalid or corrupt push buffer", kLookAtJob},
    {31, 31, kApplication, kChargeJob, "GPU memory page fault", kLookAtJob},
    {32, 32, kApplication, kChargeJob, "invalid or corrupt push buffer", kLookAtJob},
    {37, 38, kFirmware, kNote, "driver firmware error", ""},
    {39, 41, kApplication, kChargeJob, "copy engine exception", kLookAtJob},
    {43, 43, kApplication, kChargeJob, "the GPU stopped processing for a job", kLookAtJob},
    {44, 44, kFirmware, kNote, "fault during a context switch", ""},
    {45, 45, kFollow, kNote, "cleanup after another error", ""},
    {46, 46, kHardware, kQuarantine, "the GPU stopped processing", kReset},
    {48, 48, kMemory, kQuarantine, "double-bit ECC error", kReset},
    {54, 54, kHost, kQuarantine, "auxiliary power is not connected", "Check the power cables of the board"},
    {60, 60, kApplication, kChargeJob, "video processor exception", kLookAtJob},
    {62, 62, kFirmware, kQuarantine, "the internal micro-controller halted", kReset},
    {63, 63, kMemory, kNote, "a memory row was remapped or a page retired", "It takes effect at the next reset"},
    {64, 64, kMemory, kQuarantine, "row remapping or page retirement failed", kDiagnose},
    {66, 67, kFirmware, kNote, "illegal access by the driver", ""},
    {68, 68, kApplication, kChargeJob, "video decoder exception", kLookAtJob},
    {69, 69, kApplication, kChargeJob, "graphics engine class error", kLookAtJob},
    {70, 72, kApplication, kChargeJob, "copy engine exception", kLookAtJob},
    {74, 74, kLink, kQuarantine, "NVLink error", "Check the link; reset both its ends"},
    {75, 77, kApplication, kChargeJob, "copy engine exception", kLookAtJob},
    {78, 78, kFirmware, kNote, "vGPU start error", "Update the driver"},
    {79, 79, kHost, kLost, "fallen off the bus", "Restart the machine; if it comes again, inspect slot, power and cooling"},
    {80, 80, kApplication, kChargeJob, "corrupt data for the GPU", kLookAtJob},
    {82, 82, kApplication, kChargeJob, "JPEG engine exception", kLookAtJob},
    {83, 84, kApplication, kChargeJob, "video decoder exception", kLookAtJob},
    {85, 85, kApplication, kChargeJob, "copy engine exception", kLookAtJob},
    {86, 86, kApplication, kChargeJob, "optical flow engine exception", kLookAtJob},
    {88, 89, kApplication, kChargeJob, "video decoder exception", kLookAtJob},
    {92, 92, kMemory, kWarn, "high rate of corrected memory errors", "Watch it; reset the GPU when it is idle"},
    {93, 93, kInfo, kNote, "the InfoROM wears out", ""},
    {94, 94, kMemory, kWarn, "contained memory error: one application is affected", "Reset the GPU when it is idle"},
    {95, 95, kMemory, kQuarantine, "uncontained memory error", kReset},
    {96, 98, kApplication, kChargeJob, "video decoder exception", kLookAtJob},
    {99, 105, kApplication, kChargeJob, "JPEG or optical flow engine exception", kLookAtJob},
    {106, 107, kInfo, kNote, "test message", ""},
    {108, 108, kApplication, kChargeJob, "remote translation error", kLookAtJob},
    {109, 109, kHardware, kWarn, "context-switch timeout", "Reset the GPU if it comes again or the driver asks for it"},
    {110, 110, kHardware, kQuarantine, "security fault", kReset},
    {119, 119, kFirmware, kQuarantine, "the GPU's system processor does not answer", kReset},
    {120, 120, kFirmware, kQuarantine, "error of the GPU's system processor", kReset},
    {121, 121, kLink, kWarn, "corrected chip-to-chip link error", ""},
    {126, 135, kApplication, kChargeJob, "copy engine exception", kLookAtJob},
    {136, 136, kLink, kQuarantine, "link training failed", "Check the link's signal; reset the GPU"},
    {137, 137, kApplication, kChargeJob, "NVLink privilege error", kLookAtJob},
    {139, 139, kApplication, kChargeJob, "optical flow engine exception", kLookAtJob},
    {140, 140, kMemory, kQuarantine, "unrecovered ECC error", kReset},
    {141, 141, kFirmware, kNote, "fast path error of CUDA", ""},
    {142, 142, kApplication, kChargeJob, "video encoder exception", kLookAtJob},
    {143, 143, kHardware, kQuarantine, "GPU initialisation error", kDiagnose},
    {144, 150, kLink, kWarn, "NVLink 5 unit error", "Read its kind in the kernel log: a fatal one needs a reset of both ends"},
    {151, 151, kFirmware, kWarn, "key rotation error", "Restart the virtual machine"},
    {152, 153, kFirmware, kNote, "error of the deep learning accelerator", ""},
    {154, 154, kInfo, kNote, "the recovery action changed", ""},
    {155, 155, kLink, kQuarantine, "NVLink error found by software", kReset},
    {156, 156, kMemory, kQuarantine, "a GPU resource was retired", kReset},
    {157, 157, kMemory, kWarn, "retiring a GPU resource failed", ""},
    {158, 158, kHardware, kQuarantine, "fatal timeout in the GPU", kReset},
    {159, 159, kHost, kNote, "error of the coherent host interface", ""},
    {160, 161, kFirmware, kWarn, "a channel was retired", ""},
    {162, 164, kInfo, kNote, "power smoothing", ""},
    {165, 165, kInfo, kWarn, "the power-smoothing circuit is at the end of its life", ""},
    {166, 166, kLink, kNote, "secure link error", ""},
    {167, 167, kHost, kQuarantine, "fatal PCIe timeout", "Check the slot; restart the machine"},
    {168, 168, kMemory, kQuarantine, "the GPU runs with reduced memory", kDiagnose},
    {169, 169, kFirmware, kQuarantine, "the security processor halted", kReset},
    {170, 170, kFirmware, kNote, "secure processing error", ""},
    {171, 172, kMemory, kNote, "detail of a memory error", ""},
    {999, 999, kUnknown, kWarn, "an error that the library can't name", "Read the kernel log"},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < std::size(kCatalogue); ++i) {
    if (kCatalogue[i].first > kCatalogue[i].last || kCatalogue[i].meaning.empty()) return false;
    if (i > 0 && kCatalogue[i].first <= kCatalogue[i - 1].last) return false;
  }
  return true;
}
static_assert(in_order());

constexpr XidInfo kNotThere{0, 0, kUnknown, kWarn, "not in the catalogue", "Look it up in the driver's documentation"};

}  // namespace

std::string_view to_string(XidClass xid_class) {
  switch (xid_class) {
    case kApplication: return "application";
    case kFollow: return "consequence";
    case kMemory: return "memory";
    case kHardware: return "hardware";
    case kFirmware: return "firmware";
    case kLink: return "link";
    case kHost: return "host";
    case kInfo: return "information";
    case XidClass::kUnknown: return "unknown";
  }
  return "unknown";
}

std::string_view to_string(XidAction action) {
  switch (action) {
    case kNote: return "note";
    case kChargeJob: return "charge_job";
    case kWarn: return "warn";
    case kQuarantine: return "quarantine";
    case kLost: return "lost";
  }
  return "warn";
}

std::span<const XidInfo> xid_catalogue() { return kCatalogue; }

const XidInfo& xid_info(std::int64_t xid) {
  const auto row = std::lower_bound(std::begin(kCatalogue), std::end(kCatalogue), xid,
                                    [](const XidInfo& info, std::int64_t number) { return info.last < number; });
  return row != std::end(kCatalogue) && row->first <= xid ? *row : kNotThere;
}

bool is_application_xid(std::int64_t xid) {
  const XidClass xid_class = xid_info(xid).xid_class;
  return xid_class == kApplication || xid_class == kFollow;
}

std::string xid_text(std::int64_t xid) {
  const XidInfo& info = xid_info(xid);
  return fmt::format("Xid {}: {} ({}){}{}", xid, info.meaning, to_string(info.xid_class), info.advice.empty() ? "" : ". ",
                     info.advice);
}

}  // namespace aether
