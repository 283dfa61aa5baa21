#include "telemetry/nvml/event_watch.h"

#include "base/log.h"
#include "telemetry/nvml/return_code.h"

namespace aether::nvml {
namespace {

constexpr int kMaxEventsPerPoll = 256;  // a storm of events must not hold up the readings
constexpr std::uint64_t kWanted = kEventXid | kEventDoubleBitEcc | kEventMigChange;

}  // namespace

bool EventWatch::available() const {
  return functions_.event_set_create && functions_.event_set_free && functions_.event_set_wait &&
         functions_.register_events;
}

void EventWatch::watch(const std::vector<DeviceHandle>& devices) {
  if (!available() || (set_ && devices == devices_)) return;
  free_set();
  devices_ = devices;
  if (devices.empty()) return;
  if (functions_.event_set_create(&set_) != kSuccess) set_ = nullptr;
  for (DeviceHandle device : devices) register_device(device);
}

void EventWatch::register_device(DeviceHandle device) {
  if (!set_) return;
  std::uint64_t supported = kWanted;
  if (functions_.supported_events && functions_.supported_events(device, &supported) != kSuccess) return;
  if ((supported & kWanted) == 0) return;
  const Return code = functions_.register_events(device, supported & kWanted, set_);
  if (code == kUnknown) free_set();  // its content is undefined now
  if (code != kSuccess) log::debug("telemetry", "no events of a GPU", {{"code", describe(code)}});
}

void EventWatch::poll(const std::function<void(DeviceHandle, std::uint64_t type, std::int64_t xid)>& on_event) {
  for (int i = 0; set_ && i < kMaxEventsPerPoll; ++i) {
    EventData event{};
    const Return code = functions_.event_set_wait(set_, &event, 0);
    if (code == kGpuIsLost) free_set();  // rebuilt by the next watch(), without the lost GPU
    if (code != kSuccess) return;
    on_event(event.device, event.type, event.type == kEventXid ? static_cast<std::int64_t>(event.data) : 0);
  }
}

void EventWatch::free_set() {
  if (set_) functions_.event_set_free(set_);
  set_ = nullptr;
}

}  // namespace aether::nvml
