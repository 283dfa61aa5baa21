#include "telemetry/nvml/nvml_driver.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/log.h"

namespace aether {

using nvml::CallOutcome;
using nvml::CodeClass;
using nvml::Device;
using nvml::Return;

namespace {

// A GPU that answers nothing but 999 this many times in a row is lost without saying so.
constexpr int kUnknownReadsUntilLost = 3;

}  // namespace

// Members are destroyed in reverse: handles and the event set go before the library they belong to.
struct NvmlDriver::Generation {
  explicit Generation(std::unique_ptr<nvml::Library> loaded) : library(std::move(loaded)), events(*library) {}
  std::unique_ptr<nvml::Library> library;
  nvml::EventWatch events;
  std::map<GpuUuid, Device> devices;
  std::map<GpuUuid, Mono> next_slow;
};

NvmlDriver::NvmlDriver(NvmlOptions options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}

NvmlDriver::~NvmlDriver() = default;

Result<std::unique_ptr<NvmlDriver>> NvmlDriver::open(NvmlOptions options, const Clock& clock) {
  std::unique_ptr<NvmlDriver> driver(new NvmlDriver(std::move(options), clock));
  AETHER_TRY(driver->load());
  return driver;
}

Result<void> NvmlDriver::load() {
  auto library = nvml::Library::load(options_.library_path);
  if (!library) return fail(std::move(library).error());
  driver_version_ = (*library)->driver_version();
  generation_ = std::make_unique<Generation>(*std::move(library));
  return {};
}

tl::unexpected<Error> NvmlDriver::drop_generation(Return code, const std::string& call) {
  log::warn("telemetry", "the NVIDIA driver went away; it is loaded anew",
            {{"call", call}, {"code", nvml::describe(code)}});
  dropped_ = std::move(generation_);
  return fail(ErrorCode::kUnavailable,
              fmt::format("{} answers {}: the NVIDIA library has to be loaded anew", call, nvml::describe(code)));
}

Result<std::vector<GpuInfo>> NvmlDriver::enumerate() { return enumerate(NvmlAttachPlan{}); }

Result<std::vector<GpuInfo>> NvmlDriver::enumerate(const NvmlAttachPlan& plan) {
  auto listed = list_and_watch(plan);
  dropped_.reset();
  return listed;
}

Result<std::vector<GpuInfo>> NvmlDriver::list_and_watch(const NvmlAttachPlan& plan) {
  if (!generation_) AETHER_TRY(load());
  AETHER_TRY(list_devices(plan));
  rewatch();
  std::vector<GpuInfo> out;
  for (const auto& [uuid, device] : generation_->devices) out.push_back(device.info());
  std::sort(out.begin(), out.end(), [](const GpuInfo& a, const GpuInfo& b) { return a.gpu_index < b.gpu_index; });
  return out;
}

Result<void> NvmlDriver::list_devices(const NvmlAttachPlan& plan) {
  const nvml::Functions& functions = generation_->library->functions();
  std::map<GpuUuid, Device> listed;
  if (plan.bus_ids.empty() || !functions.device_by_bus_id || !functions.index) {
    AETHER_TRY(list_counted(plan, listed));
  } else {
    for (const std::string& bus_id : plan.bus_ids) {
      if (plan.before_each) plan.before_each(0, bus_id);
      nvml::DeviceHandle handle = nullptr;
      std::uint32_t index = 0;
      Return code = functions.device_by_bus_id(bus_id.c_str(), &handle);
      if (code == nvml::kSuccess) code = functions.index(handle, &index);
      AETHER_TRY(list_device(code, handle, static_cast<int>(index), listed));
    }
  }
  generation_->devices = std::move(listed);
  return {};
}

Result<void> NvmlDriver::list_counted(const NvmlAttachPlan& plan, std::map<GpuUuid, Device>& listed) {
  const nvml::Functions& functions = generation_->library->functions();
  std::uint32_t count = 0;
  const Return code = functions.device_count(&count);
  const CodeClass code_class = nvml::classify(code);
  if (code_class == CodeClass::kReinitialise || code_class == CodeClass::kNothingKnown)
    return drop_generation(code, "nvmlDeviceGetCount_v2");
  if (code_class != CodeClass::kOk)
    return fail(ErrorCode::kUnavailable, fmt::format("nvmlDeviceGetCount_v2 answers {}", nvml::describe(code)));
  for (std::uint32_t index = 0; index < count; ++index) {
    if (std::find(plan.skip_indexes.begin(), plan.skip_indexes.end(), index) != plan.skip_indexes.end()) continue;
    if (plan.before_each) plan.before_each(index, "");
    nvml::DeviceHandle handle = nullptr;
    const Return found = functions.device_by_index(index, &handle);
    AETHER_TRY(list_device(found, handle, static_cast<int>(index), listed));
  }
  return {};
}

// Adds the GPU of this handle to `listed` unless it does not answer. Fails only when the generation is void.
Result<void> NvmlDriver::list_device(Return found, nvml::DeviceHandle handle, int index,
                                     std::map<GpuUuid, Device>& listed) {
  const nvml::Functions& functions = generation_->library->functions();
  const auto left_out = [&](Return code) -> Result<void> {
    if (nvml::classify(code) == CodeClass::kReinitialise)
      return drop_generation(code, fmt::format("attaching GPU {}", index));
    log::debug("telemetry", "a GPU is left out", {{"index", index}, {"code", nvml::describe(code)}});
    return {};
  };
  if (found != nvml::kSuccess) return left_out(found);
  std::array<char, 96> text{};
  if (const Return code = functions.uuid(handle, text.data(), static_cast<std::uint32_t>(text.size() - 1));
      code != nvml::kSuccess)
    return left_out(code);
  const GpuUuid uuid{std::string(text.data())};
  const auto known = generation_->devices.find(uuid);
  if (known != generation_->devices.end() && known->second.handle() == handle) {
    listed.emplace(uuid, std::move(known->second)).first->second.set_index(index);
    return {};
  }
  Device device(*generation_->library, handle, uuid, index);
  const CallOutcome outcome = device.attach();
  if (outcome.reinitialise) return left_out(*outcome.reinitialise);
  if (outcome.lost) return left_out(*outcome.lost);
  if (outcome.values == 0) return left_out(outcome.last_failure);
  listed.emplace(uuid, std::move(device));
  return {};
}

Result<GpuSample> NvmlDriver::read(const GpuUuid& gpu_uuid, ReadTier tier) {
  auto sample = read_device(gpu_uuid, tier);
  dropped_.reset();
  return sample;
}

Result<GpuSample> NvmlDriver::read_device(const GpuUuid& gpu_uuid, ReadTier tier) {
  if (!generation_)
    return fail(ErrorCode::kUnavailable, "the NVIDIA library is not loaded at the moment; enumerate() loads it");
  const auto found = generation_->devices.find(gpu_uuid);
  if (found == generation_->devices.end())
    return fail(ErrorCode::kNotFound, fmt::format("the NVIDIA driver shows no GPU {}", gpu_uuid.str()));
  poll_events();
  Device& device = found->second;
  const bool with_slow = tier == ReadTier::kState && slow_due(gpu_uuid);
  const CallOutcome outcome = device.read(tier, with_slow, clock_.mono());
  AETHER_TRY(judge(device, outcome));
  return device.sample();
}

std::optional<GpuDetail> NvmlDriver::detail(const GpuUuid& gpu_uuid) const {
  if (!generation_) return std::nullopt;
  const auto found = generation_->devices.find(gpu_uuid);
  return found == generation_->devices.end() ? std::nullopt : std::optional(found->second.detail());
}

// What a reading that met errors means for the GPU and for the generation.
Result<void> NvmlDriver::judge(Device& device, const CallOutcome& outcome) {
  const GpuUuid uuid = device.info().gpu_uuid;
  if (outcome.reinitialise) return drop_generation(*outcome.reinitialise, "reading GPU " + uuid.str());
  if (outcome.lost) return lose(uuid, *outcome.lost);
  if (outcome.values > 0) {
    device.unknown_in_a_row = 0;
    return {};
  }
  if (outcome.unknown && ++device.unknown_in_a_row >= kUnknownReadsUntilLost) {
    // When it was the last one, the fault is more likely the driver's than the GPU's.
    if (generation_->devices.size() == 1) return drop_generation(nvml::kUnknown, "reading GPU " + uuid.str());
    return lose(uuid, nvml::kUnknown);
  }
  return fail(ErrorCode::kUnavailable, fmt::format("GPU {} gives no reading; the last answer was {}", uuid.str(),
                                                   nvml::describe(outcome.last_failure)));
}

tl::unexpected<Error> NvmlDriver::lose(const GpuUuid& gpu_uuid, Return code) {
  const auto found = generation_->devices.find(gpu_uuid);
  const auto xid = found->second.xid();
  generation_->devices.erase(found);
  rewatch();
  return fail(ErrorCode::kNotFound, fmt::format("GPU {} is lost: {}{}", gpu_uuid.str(), nvml::describe(code),
                                                xid ? fmt::format(", last XID {}", *xid) : ""));
}

bool NvmlDriver::slow_due(const GpuUuid& gpu_uuid) {
  const Mono now = clock_.mono();
  Mono& next = generation_->next_slow[gpu_uuid];
  if (now < next) return false;
  next = now + options_.process_interval;
  return true;
}

void NvmlDriver::poll_events() {
  if (!generation_) return;
  generation_->events.poll([&](nvml::DeviceHandle handle, std::uint64_t type, std::int64_t xid) {
    take_event(handle, type, xid);
  });
}

void NvmlDriver::take_event(nvml::DeviceHandle handle, std::uint64_t type, std::int64_t xid) {
  for (auto& [uuid, device] : generation_->devices) {
    if (device.handle() != handle) continue;
    const Time now = clock_.now();
    if (type == nvml::kEventXid) device.set_xid(xid, now);
    if (type == nvml::kEventMigChange) generation_->next_slow[uuid] = Mono{};
    if (on_event_ && type != nvml::kEventMigChange)
      on_event_({uuid, type == nvml::kEventXid ? GpuEvent::Kind::kXid : GpuEvent::Kind::kDoubleBitEcc, xid, now});
  }
}

void NvmlDriver::rewatch() {
  poll_events();  // what the present set still holds
  std::vector<nvml::DeviceHandle> handles;
  for (const auto& [uuid, device] : generation_->devices) handles.push_back(device.handle());
  generation_->events.watch(handles);
}

}  // namespace aether
