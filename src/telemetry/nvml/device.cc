#include "telemetry/nvml/device.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/log.h"
#include "telemetry/nvml/values.h"

namespace aether::nvml {
namespace {

constexpr std::uint32_t kHighestPcie = 64;  // of generations and lanes

std::optional<std::string> architecture_name(std::uint32_t number) {
  switch (number) {
    case 2: return "kepler";
    case 3: return "maxwell";
    case 4: return "pascal";
    case 5: return "volta";
    case 6: return "turing";
    case 7: return "ampere";
    case 8: return "ada";
    case 9: return "hopper";
    case 10: return "blackwell";
    case 13: return "rubin";
    default: return std::nullopt;
  }
}

std::optional<int> whole(std::optional<double> value) {
  return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
}

}  // namespace

Device::Device(const Library& library, DeviceHandle handle, GpuUuid uuid, int gpu_index)
    : functions_(library.functions()),
      handle_(handle),
      mig_(library.functions(), handle) {
  info_.gpu_uuid = std::move(uuid);
  info_.gpu_index = gpu_index;
  info_.source = GpuSource::kNvml;
}

// A call whose function is missing, switched off, or pointless after a loss counts as "no value".
template <class Function, class... Arguments>
bool Device::ask(Feature feature, Function function, Arguments... arguments) {
  if (!function || is_off(feature) || outcome_.ended()) return false;
  return accept(feature, function(handle_, arguments...));
}

bool Device::accept(Feature feature, Return code) {
  const CodeClass code_class = classify(code);
  if (code_class == CodeClass::kOk) {
    ++outcome_.values;
    return true;
  }
  outcome_.last_failure = code;
  switch (code_class) {
    case CodeClass::kSkipMetric: off_.set(static_cast<std::size_t>(feature)); break;
    case CodeClass::kLost: outcome_.lost = code; break;
    case CodeClass::kReinitialise: outcome_.reinitialise = code; break;
    case CodeClass::kNothingKnown: outcome_.unknown = true; break;
    default: break;
  }
  const bool worth_a_line = code == 4 || code_class == CodeClass::kAlarm || code_class == CodeClass::kOwnBug;
  if (worth_a_line && !complained_.test(static_cast<std::size_t>(code))) {
    complained_.set(static_cast<std::size_t>(code));
    log::warn("telemetry", "a GPU query fails; the value stays absent",
              {{"gpu", info_.gpu_uuid.str()}, {"code", describe(code)}});
  }
  return false;
}

CallOutcome Device::attach() {
  outcome_ = {};
  std::array<char, 96> text{};
  if (ask(Feature::kName, functions_.name, text.data(), static_cast<std::uint32_t>(text.size() - 1)))
    info_.gpu_name = text.data();
  PciInfo pci{};
  if (ask(Feature::kPciInfo, functions_.pci_info, &pci)) {
    pci.bus_id[sizeof pci.bus_id - 1] = '\0';
    info_.gpu_pci_bus_id = pci.bus_id;
  }
  std::uint32_t number = 0;
  if (ask(Feature::kArchitecture, functions_.architecture, &number)) info_.gpu_architecture = architecture_name(number);
  std::int32_t major = 0, minor = 0;
  if (ask(Feature::kComputeCapability, functions_.compute_capability, &major, &minor))
    info_.gpu_compute_capability = fmt::format("{}.{}", major, minor);
  if (ask(Feature::kMaxClock, functions_.max_clock, kClockGraphics, &number))
    info_.clock_gpu_max_mhz = whole(megahertz(number));
  if (ask(Feature::kMaxClock, functions_.max_clock, kClockMemory, &number))
    info_.clock_mem_max_mhz = whole(megahertz(number));
  if (ask(Feature::kThreshold, functions_.temperature_threshold, kThresholdSlowdown, &number))
    info_.temperature_slowdown_c = whole(celsius(number));
  if (ask(Feature::kThreshold, functions_.temperature_threshold, kThresholdShutdown, &number))
    info_.temperature_shutdown_c = whole(celsius(number));
  if (ask(Feature::kPowerLimit, functions_.power_limit, &number)) info_.power_limit_w = watts_of_milliwatts(number);
  GpuSample first;
  read_memory(first);
  info_.memory_total_mb = first.memory_total_mb.value_or(0);
  if (!outcome_.ended()) read_static();
  return outcome_;
}

// What is shown beside the readings and never changes while the library is loaded.
void Device::read_static() {
  using D = GpuDetailField;
  std::array<char, 64> text{};
  const auto length = static_cast<std::uint32_t>(text.size() - 1);
  if (ask(Feature::kSerial, functions_.serial, text.data(), length)) detail_.serial = text.data();
  if (ask(Feature::kVbios, functions_.vbios_version, text.data(), length)) detail_.vbios_version = text.data();
  std::uint32_t number = 0;
  if (ask(Feature::kMaxClock, functions_.max_clock, kClockSm, &number)) detail_.set(D::kClockSmMaxMhz, megahertz(number));
  if (ask(Feature::kThreshold, functions_.temperature_threshold, kThresholdGpuMax, &number))
    detail_.set(D::kTemperatureMaxC, celsius(number));
  if (ask(Feature::kThreshold, functions_.temperature_threshold, kThresholdMemoryMax, &number))
    detail_.set(D::kTemperatureMemMaxC, celsius(number));
  if (ask(Feature::kPcieGeneration, functions_.pcie_generation_max, &number) && number <= kHighestPcie)
    detail_.set(D::kPcieLinkGenMax, number);
  if (ask(Feature::kPcieWidth, functions_.pcie_width_max, &number) && number <= kHighestPcie)
    detail_.set(D::kPcieLinkWidthMax, number);
  read_fields(FieldTier::kStatic, sample_);
  gpm_ = GpmReader::open(functions_, handle_);
}

CallOutcome Device::read(ReadTier tier, bool with_slow, Mono now) {
  outcome_ = {};
  clear(tier);
  sample_.gpu_uuid = info_.gpu_uuid;
  sample_.gpu_index = info_.gpu_index;
  sample_.gpu_name = info_.gpu_name;
  read_utilization(sample_);
  read_memory(sample_);
  read_fields(FieldTier::kFast, sample_);
  read_power(sample_);
  detail_.fast_at = now;
  if (tier == ReadTier::kState) {
    read_state(now);
    if (with_slow && !outcome_.ended()) read_slow(now);
  }
  sample_.processes = processes_;
  sample_.xid_last = xid_;
  sample_.xid_last_time = xid_time_;
  return outcome_;
}

// Nothing of an earlier reading may pass for this one's.
void Device::clear(ReadTier tier) {
  if (tier == ReadTier::kState) {
    sample_ = GpuSample{};
  } else {
    sample_.utilization_gpu = sample_.utilization_memory_controller = std::nullopt;
    sample_.memory_used_mb = sample_.memory_total_mb = sample_.memory_reserved_mb = std::nullopt;
    sample_.power_draw_w.reset();
    sample_.energy_total_mj.reset();
  }
  for (const FieldRow& row : field_rows())
    if (row.detail != GpuDetailField::kCount &&
        (row.tier == FieldTier::kFast || (row.tier == FieldTier::kState && tier == ReadTier::kState)))
      detail_.set(row.detail, std::nullopt);
}

void Device::read_state(Mono now) {
  read_fields(FieldTier::kState, sample_);
  read_power_limit(sample_);
  read_codecs(sample_);
  read_temperature(sample_);
  read_clocks(sample_);
  read_errors(sample_);
  MarginTemperatureV1 margin{.version = kMarginTemperatureV1Version, .margin_c = 0};
  detail_.set(GpuDetailField::kTemperatureMarginC,
              ask(Feature::kMargin, functions_.margin_temperature, &margin) ? celsius(margin.margin_c) : std::nullopt);
  if (gpm_ && !outcome_.ended()) gpm_->read(now, detail_);
  detail_.state_at = now;
}

void Device::read_slow(Mono now) {
  using D = GpuDetailField;
  read_processes();
  std::uint32_t value = 0, period_us = 0;
  const auto small = [&](bool there) { return there && value <= kHighestPcie ? std::optional<double>(value) : std::nullopt; };
  detail_.set(D::kPcieLinkGen, small(ask(Feature::kPcieGeneration, functions_.pcie_generation, &value)));
  detail_.set(D::kPcieLinkWidth, small(ask(Feature::kPcieWidth, functions_.pcie_width, &value)));
  detail_.set(D::kClockVideoMhz, ask(Feature::kClockVideo, functions_.clock, kClockVideo, &value) ? megahertz(value) : std::nullopt);
  detail_.set(D::kUtilizationJpgPct, ask(Feature::kJpg, functions_.jpg_utilization, &value, &period_us) ? percent(value) : std::nullopt);
  detail_.set(D::kUtilizationOfaPct, ask(Feature::kOfa, functions_.ofa_utilization, &value, &period_us) ? percent(value) : std::nullopt);
  Bar1Memory bar1{};
  const bool has_bar1 = ask(Feature::kBar1, functions_.bar1_memory, &bar1) && bar1.used <= bar1.total;
  const auto mebibytes = [&](std::uint64_t bytes) {
    const auto whole_mb = has_bar1 ? mebibytes_of_bytes(bytes) : std::nullopt;
    return whole_mb ? std::optional(static_cast<double>(*whole_mb)) : std::nullopt;
  };
  detail_.set(D::kBar1UsedMb, mebibytes(bar1.used));
  detail_.set(D::kBar1TotalMb, mebibytes(bar1.total));
  detail_.mig = mig_.read(now);
  detail_.slow_at = now;
}

// One call for many values; rows that the device does not know are left out of the next one.
void Device::read_fields(FieldTier tier, GpuSample& sample) {
  const std::vector<const FieldRow*> rows = fields_.rows(tier);
  std::array<FieldValue, kMaxFieldsPerTier> values{};
  if (rows.empty()) return;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    values[i].id = rows[i]->id;
    values[i].scope = rows[i]->scope;
    values[i].result = kUnknown;
  }
  if (!ask(Feature::kFields, functions_.field_values, static_cast<std::int32_t>(rows.size()), values.data())) return;
  --outcome_.values;  // the call alone is no value; each good field is one
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const CodeClass code_class = classify(values[i].result);
    if (code_class == CodeClass::kOk) {
      ++outcome_.values;
      fields_.take(*rows[i], values[i], sample, detail_);
    } else if (code_class == CodeClass::kSkipMetric || code_class == CodeClass::kOwnBug) {
      fields_.forget(*rows[i]);  // libraries answer an id of the future with INVALID_ARGUMENT
    } else if (!outcome_.ended()) {
      accept(Feature::kFields, values[i].result);
    }
  }
}

void Device::read_utilization(GpuSample& sample) {
  Utilization utilization{};
  if (ask(Feature::kUtilization, functions_.utilization, &utilization)) {
    sample.utilization_gpu = percent(utilization.gpu);
    sample.utilization_memory_controller = percent(utilization.memory);
  }
}

void Device::read_codecs(GpuSample& sample) {
  std::uint32_t value = 0, period_us = 0;
  if (ask(Feature::kEncoder, functions_.encoder_utilization, &value, &period_us))
    sample.utilization_encoder_pct = percent(value);
  if (ask(Feature::kDecoder, functions_.decoder_utilization, &value, &period_us))
    sample.utilization_decoder_pct = percent(value);
}

void Device::read_memory(GpuSample& sample) {
  MemoryV2 v2{.version = kMemoryV2Version, .total = 0, .reserved = 0, .free = 0, .used = 0};
  Memory v1{};
  if (ask(Feature::kMemoryV2, functions_.memory_v2, &v2)) {
    sample.memory_reserved_mb = mebibytes_of_bytes(v2.reserved);
  } else if (ask(Feature::kMemoryV1, functions_.memory_v1, &v1)) {
    v2.total = v1.total;
    v2.used = v1.used;
  } else {
    return;
  }
  sample.memory_total_mb = v2.total > 0 ? mebibytes_of_bytes(v2.total) : std::nullopt;
  sample.memory_used_mb = v2.used <= v2.total ? mebibytes_of_bytes(v2.used) : std::nullopt;
  if (!sample.memory_total_mb) sample.memory_used_mb = sample.memory_reserved_mb = std::nullopt;
}

void Device::read_temperature(GpuSample& sample) {
  TemperatureV1 versioned{.version = kTemperatureV1Version, .sensor = kTemperatureSensorGpu, .temperature_c = 0};
  std::uint32_t value = 0;
  if (ask(Feature::kTemperatureV, functions_.temperature_v, &versioned))
    sample.temperature_c = celsius(versioned.temperature_c);
  else if (ask(Feature::kTemperature, functions_.temperature, kTemperatureSensorGpu, &value))
    sample.temperature_c = celsius(value);
  if (ask(Feature::kFanSpeed, functions_.fan_speed, &value)) sample.fan_speed_pct = percent(value, 200);
}

// What the fields did not give.
void Device::read_power(GpuSample& sample) {
  std::uint32_t value = 0;
  if (!sample.power_draw_w && ask(Feature::kPowerUsage, functions_.power_usage, &value))
    sample.power_draw_w = watts_of_milliwatts(value);
  std::uint64_t energy_mj = 0;
  if (!sample.energy_total_mj && ask(Feature::kEnergy, functions_.energy, &energy_mj))
    sample.energy_total_mj = real_value(energy_mj);
}

void Device::read_power_limit(GpuSample& sample) {
  std::uint32_t value = 0;
  if (!sample.power_limit_w && ask(Feature::kPowerLimit, functions_.power_limit, &value))
    sample.power_limit_w = watts_of_milliwatts(value);
}

void Device::read_clocks(GpuSample& sample) {
  std::uint32_t value = 0;
  if (ask(Feature::kClockGraphics, functions_.clock, kClockGraphics, &value)) sample.clock_gpu_mhz = megahertz(value);
  if (ask(Feature::kClockSm, functions_.clock, kClockSm, &value)) sample.clock_sm_mhz = megahertz(value);
  if (ask(Feature::kClockMemory, functions_.clock, kClockMemory, &value)) sample.clock_mem_mhz = megahertz(value);
  std::int32_t state = 0;
  if (ask(Feature::kPerformanceState, functions_.performance_state, &state) && state >= 0 && state <= 15)
    sample.performance_state = fmt::format("P{}", state);
  std::uint64_t mask = 0;
  if (ask(Feature::kClocksEventReasons, functions_.clocks_event_reasons, &mask) && real_value(mask)) {
    sample.throttling_reasons_mask = mask;
    sample.throttling_reasons = throttling_reasons_text(mask);
  }
}

// What the fields did not give.
void Device::read_errors(GpuSample& sample) {
  std::uint64_t count = 0;
  if (!sample.ecc_sbe_volatile_total && ask(Feature::kEcc, functions_.ecc_errors, kEccCorrected, kEccVolatile, &count))
    sample.ecc_sbe_volatile_total = real_value(count);
  if (!sample.ecc_dbe_volatile_total &&
      ask(Feature::kEcc, functions_.ecc_errors, kEccUncorrected, kEccVolatile, &count))
    sample.ecc_dbe_volatile_total = real_value(count);
  std::uint32_t replays = 0;
  if (!sample.pcie_replay_total && ask(Feature::kPcieReplay, functions_.pcie_replay, &replays))
    if (const auto real = real_value(replays)) sample.pcie_replay_total = *real;
}

// One list of all kinds; absent when no kind could be read or one made no sense.
void Device::read_processes() {
  processes_.reset();
  std::vector<GpuProcess> all;
  const int before = outcome_.values;
  const bool sound = add_processes(Feature::kComputeProcesses, functions_.compute_processes, all) &&
                     add_processes(Feature::kGraphicsProcesses, functions_.graphics_processes, all) &&
                     add_processes(Feature::kMpsProcesses, functions_.mps_processes, all);
  const bool any = outcome_.values > before;
  outcome_.values = before;  // a list does not prove that the sensors answer
  if (sound && any) processes_ = std::move(all);
}

// False when the answer can't be trusted.
bool Device::add_processes(Feature feature, ProcessLister::ListCall call, std::vector<GpuProcess>& all) {
  if (!call || is_off(feature) || outcome_.ended()) return true;
  std::optional<std::vector<GpuProcess>> found;
  if (!accept(feature, lister_.list(call, handle_, found))) return is_off(feature);
  if (!found) return false;
  for (const GpuProcess& process : *found) {
    const auto same = [&](const GpuProcess& known) { return known.pid == process.pid; };
    const auto known = std::find_if(all.begin(), all.end(), same);
    if (known == all.end())
      all.push_back(process);
    else if (!known->memory_used_mb)
      known->memory_used_mb = process.memory_used_mb;
  }
  return true;
}

void Device::set_xid(std::int64_t xid, Time time) {
  xid_ = xid;
  xid_time_ = time;
}

}  // namespace aether::nvml
