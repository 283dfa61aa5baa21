#pragma once
// XID errors of the watched GPUs, by the library's event set. Polled, never waited for.
#include <functional>
#include <vector>

#include "telemetry/nvml/library.h"

namespace aether::nvml {

// Must be destroyed before its library.
class XidWatch {
 public:
  explicit XidWatch(const Library& library) : functions_(library.functions()) {}
  ~XidWatch() { free_set(); }
  XidWatch(const XidWatch&) = delete;
  XidWatch& operator=(const XidWatch&) = delete;

  // Watches exactly these. Errors of before are not reported. Without effect when nothing changed.
  void watch(const std::vector<DeviceHandle>& devices);
  // Calls `on_xid` for each error since the last poll, oldest first.
  void poll(const std::function<void(DeviceHandle, std::int64_t xid)>& on_xid);

 private:
  bool available() const;
  void register_device(DeviceHandle device);
  void free_set();

  const Functions& functions_;
  EventSetHandle set_ = nullptr;
  std::vector<DeviceHandle> devices_;
};

}  // namespace aether::nvml
