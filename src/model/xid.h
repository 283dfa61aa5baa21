#pragma once
// What NVIDIA's catalogue says about an XID, and what Aether does about it. docs/telemetry.md explains the classes.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace aether {

enum class XidClass {
  kApplication,  // the job's fault first
  kFollow,       // consequence of another one
  kMemory,       // of the GPU
  kHardware,
  kFirmware,     // or driver
  kLink,         // NVLink, C2C
  kHost,         // board, PCIe, power
  kInfo,
  kUnknown,
};
std::string_view to_string(XidClass xid_class);

enum class XidAction {
  kNote,        // kept and counted
  kChargeJob,   // the same, and shown as the job's own fault
  kWarn,        // an alert; the GPU stays in service
  kQuarantine,  // no new job on this GPU until it was reset, or somebody releases it
  kLost,        // the same, and the GPU is gone until its machine is restarted
};
std::string_view to_string(XidAction action);

struct XidInfo {
  std::int64_t first = 0, last = 0;  // the numbers that this row speaks for
  XidClass xid_class = XidClass::kUnknown;
  XidAction action = XidAction::kWarn;
  std::string_view meaning;
  std::string_view advice;           // what an operator does; empty when nothing
};

// Never fails: a number that the catalogue does not use has a row of its own, "not in the catalogue".
const XidInfo& xid_info(std::int64_t xid);
// The rows, by number and without overlap.
std::span<const XidInfo> xid_catalogue();

// The application's fault, or a consequence of one: says nothing about the GPU.
bool is_application_xid(std::int64_t xid);
// "Xid 79: fallen off the bus (host). Restart the machine; ..."
std::string xid_text(std::int64_t xid);

}  // namespace aether
