#pragma once
// What the library's event set tells of the watched GPUs: XID errors, double-bit memory errors, changes of MIG. Polled,
// never waited for.
#include <functional>
#include <vector>

#include "telemetry/nvml/library.h"

namespace aether::nvml {

// Must be destroyed before its library.
class EventWatch {
 public:
  explicit EventWatch(const Library& library) : functions_(library.functions()) {}
  ~EventWatch() { free_set(); }
  EventWatch(const EventWatch&) = delete;
  EventWatch& operator=(const EventWatch&) = delete;

  // Watches exactly these. Errors of before are not reported. Without effect when nothing changed.
  void watch(const std::vector<DeviceHandle>& devices);
  // Calls `on_event` for each event since the last poll, oldest first. `type` is a bit of abi.h, `xid` is set with kEventXid.
  void poll(const std::function<void(DeviceHandle, std::uint64_t type, std::int64_t xid)>& on_event);

 private:
  bool available() const;
  void register_device(DeviceHandle device);
  void free_set();

  const Functions& functions_;
  EventSetHandle set_ = nullptr;
  std::vector<DeviceHandle> devices_;
};

}  // namespace aether::nvml
