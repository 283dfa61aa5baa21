#include "agent/metrics_text.h"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "model/xid.h"

namespace aether {
namespace {

using D = GpuDetailField;
using Reading = Agent::Reading;
using enum MetricType;

// Writes one line per fresh GPU and row of a family.
class GpuFamilies {
 public:
  GpuFamilies(TextWriter& out, const MetricsInput& input, const MetricsOptions& options)
      : out_(out), input_(input), options_(options) {}

  using Value = std::function<std::optional<double>(const Reading&)>;
  struct Row {
    Labels labels;  // behind gpu and uuid
    Value value;
  };

  void write(std::string_view name, MetricType type, std::string_view help, const std::vector<Row>& rows) {
    out_.family(name, type, help);
    for (const Agent::KnownGpu& gpu : input_.gpus) {
      const Reading* reading = find_fresh(input_, options_, gpu.info.gpu_uuid);
      if (!reading) continue;
      for (const Row& row : rows)
        if (const auto value = row.value(*reading)) out_.line(labels_of(gpu.info, row.labels), *value);
    }
  }
  void write(std::string_view name, MetricType type, std::string_view help, const Value& value) {
    write(name, type, help, {Row{{}, value}});
  }
  static Labels labels_of(const GpuInfo& info, const Labels& more = {}) {
    Labels labels = {{"gpu", std::to_string(info.gpu_index)}, {"uuid", info.gpu_uuid.str()}};
    labels.insert(labels.end(), more.begin(), more.end());
    return labels;
  }

 private:
  TextWriter& out_;
  const MetricsInput& input_;
  const MetricsOptions& options_;
};

// Our unit = theirs x times / by; dividing keeps 47 % the 0.47 that people expect.
struct Scale {
  double times = 1, by = 1;
};
template <class T>
GpuFamilies::Value of(std::optional<T> GpuSample::*field, Scale scale = {}) {
  return [field, scale](const Reading& reading) -> std::optional<double> {
    const auto& value = reading.sample.*field;
    return value ? std::optional(static_cast<double>(*value) * scale.times / scale.by) : std::nullopt;
  };
}
GpuFamilies::Value of(D field, Scale scale = {}) {
  return [field, scale](const Reading& reading) -> std::optional<double> {
    const auto value = reading.detail.get(field);
    return value ? std::optional(*value * scale.times / scale.by) : std::nullopt;
  };
}

constexpr double kMebibyte = 1 << 20;
constexpr Scale kPercent{1, 100}, kMebi{kMebibyte, 1}, kMega{1e6, 1}, kMilli{1, 1000}, kNano{1, 1e9};

void write_load(GpuFamilies& gpus) {
  gpus.write("aether_gpu_utilization_ratio", kGauge, "Share of the time with a kernel running.", of(&GpuSample::utilization_gpu, kPercent));
  gpus.write("aether_gpu_memory_controller_utilization_ratio", kGauge, "Share of the time with the memory busy.",
             of(&GpuSample::utilization_memory_controller, kPercent));
  gpus.write("aether_gpu_engine_active_ratio", kGauge, "Share of the time with any engine active.", of(D::kEngineActivePct, kPercent));
  gpus.write("aether_gpu_sm_active_ratio", kGauge, "Share of the time that a multiprocessor was active, over all.", of(D::kSmActivePct, kPercent));
  gpus.write("aether_gpu_sm_occupancy_ratio", kGauge, "Resident warps against the possible ones.", of(D::kSmOccupancyPct, kPercent));
  gpus.write("aether_gpu_dram_active_ratio", kGauge, "Memory bandwidth used against the peak.", of(D::kDramActivePct, kPercent));
  gpus.write("aether_gpu_pipe_active_ratio", kGauge, "Share of the time that a pipe was active.",
             {{{{"pipe", "tensor"}}, of(D::kTensorActivePct, kPercent)},
              {{{"pipe", "tensor_dfma"}}, of(D::kTensorDfmaActivePct, kPercent)},
              {{{"pipe", "tensor_hmma"}}, of(D::kTensorHmmaActivePct, kPercent)},
              {{{"pipe", "tensor_imma"}}, of(D::kTensorImmaActivePct, kPercent)},
              {{{"pipe", "fp64"}}, of(D::kFp64ActivePct, kPercent)},
              {{{"pipe", "fp32"}}, of(D::kFp32ActivePct, kPercent)},
              {{{"pipe", "fp16"}}, of(D::kFp16ActivePct, kPercent)},
              {{{"pipe", "int"}}, of(D::kIntActivePct, kPercent)}});
  gpus.write("aether_gpu_codec_utilization_ratio", kGauge, "Share of the time that a codec engine was busy.",
             {{{{"engine", "encoder"}}, of(&GpuSample::utilization_encoder_pct, kPercent)},
              {{{"engine", "decoder"}}, of(&GpuSample::utilization_decoder_pct, kPercent)},
              {{{"engine", "jpg"}}, of(D::kUtilizationJpgPct, kPercent)},
              {{{"engine", "ofa"}}, of(D::kUtilizationOfaPct, kPercent)}});
  gpus.write("aether_gpu_clock_hertz", kGauge, "Clock frequency.",
             {{{{"domain", "gpu"}}, of(&GpuSample::clock_gpu_mhz, kMega)},
              {{{"domain", "sm"}}, of(&GpuSample::clock_sm_mhz, kMega)},
              {{{"domain", "mem"}}, of(&GpuSample::clock_mem_mhz, kMega)},
              {{{"domain", "video"}}, of(D::kClockVideoMhz, kMega)}});
}

void write_memory(GpuFamilies& gpus) {
  gpus.write("aether_gpu_memory_size_bytes", kGauge, "Memory of the board.", of(&GpuSample::memory_total_mb, kMebi));
  gpus.write("aether_gpu_memory_used_bytes", kGauge, "Memory in use, without what the driver reserves.", of(&GpuSample::memory_used_mb, kMebi));
  gpus.write("aether_gpu_memory_reserved_bytes", kGauge, "Memory that the driver reserves.", of(&GpuSample::memory_reserved_mb, kMebi));
  gpus.write("aether_gpu_processes", kGauge, "Processes that hold memory on the GPU.", [](const Reading& reading) -> std::optional<double> {
    const auto& processes = reading.sample.processes;
    return processes ? std::optional(static_cast<double>(processes->size())) : std::nullopt;
  });
  gpus.write("aether_gpu_bar1_used_bytes", kGauge, "Address window of the bus in use.", of(D::kBar1UsedMb, kMebi));
}

void write_power_and_heat(GpuFamilies& gpus) {
  gpus.write("aether_gpu_temperature_celsius", kGauge, "Temperature.",
             {{{{"sensor", "gpu"}}, of(&GpuSample::temperature_c)}, {{{"sensor", "memory"}}, of(&GpuSample::temperature_mem_c)}});
  gpus.write("aether_gpu_temperature_margin_celsius", kGauge, "Distance to the nearest slowdown.", of(D::kTemperatureMarginC));
  gpus.write("aether_gpu_fan_speed_ratio", kGauge, "Speed of the fan against its maximum.", of(&GpuSample::fan_speed_pct, kPercent));
  gpus.write("aether_gpu_power_watts", kGauge, "Power of the board.",
             {{{{"window", "average"}}, of(&GpuSample::power_draw_w)}, {{{"window", "instant"}}, of(D::kPowerInstantW)}});
  gpus.write("aether_gpu_power_limit_watts", kGauge, "Power limit.",
             {{{{"kind", "enforced"}}, of(&GpuSample::power_limit_w)},
              {{{"kind", "requested"}}, of(D::kPowerLimitRequestedW)},
              {{{"kind", "default"}}, of(D::kPowerLimitDefaultW)},
              {{{"kind", "min"}}, of(D::kPowerLimitMinW)},
              {{{"kind", "max"}}, of(D::kPowerLimitMaxW)}});
  gpus.write("aether_gpu_energy_joules_total", kCounter, "Energy by the board's own counter, since the driver was loaded.",
             of(&GpuSample::energy_total_mj, kMilli));
  gpus.write("aether_gpu_throttle_seconds_total", kCounter, "Time with a lowered clock, by reason.",
             {{{{"reason", "power_cap"}}, of(D::kThrottlePowerCapNs, kNano)},
              {{{"reason", "thermal"}}, of(D::kThrottleThermalNs, kNano)},
              {{{"reason", "sync_boost"}}, of(D::kThrottleSyncBoostNs, kNano)},
              {{{"reason", "board_limit"}}, of(D::kThrottleBoardLimitNs, kNano)},
              {{{"reason", "low_util"}}, of(D::kThrottleLowUtilNs, kNano)},
              {{{"reason", "reliability"}}, of(D::kThrottleReliabilityNs, kNano)},
              {{{"reason", "sw_thermal"}}, of(D::kThrottleSwThermalNs, kNano)},
              {{{"reason", "hw_thermal"}}, of(D::kThrottleHwThermalNs, kNano)},
              {{{"reason", "hw_power_brake"}}, of(D::kThrottleHwPowerBrakeNs, kNano)}});
  std::vector<GpuFamilies::Row> reasons;
  for (std::uint64_t bit = 1; bit <= 0x100; bit <<= 1)
    reasons.push_back({{{"reason", throttling_reasons_text(bit)}}, [bit](const Reading& reading) -> std::optional<double> {
                         const auto mask = reading.sample.throttling_reasons_mask;
                         return mask ? std::optional((*mask & bit) != 0 ? 1.0 : 0.0) : std::nullopt;
                       }});
  gpus.write("aether_gpu_throttle_active", kGauge, "1 while the clock is lowered for this reason.", reasons);
}

void write_links(GpuFamilies& gpus) {
  gpus.write("aether_gpu_pcie_bytes_total", kCounter, "Bytes over PCIe.",
             {{{{"direction", "tx"}}, of(D::kPcieTxBytes)}, {{{"direction", "rx"}}, of(D::kPcieRxBytes)}});
  gpus.write("aether_gpu_nvlink_bytes_total", kCounter, "Bytes over all NVLinks.",
             {{{{"direction", "tx"}}, of(D::kNvlinkTxBytes)}, {{{"direction", "rx"}}, of(D::kNvlinkRxBytes)}});
  gpus.write("aether_gpu_pcie_replays_total", kCounter, "PCIe transfers that had to be repeated.", of(&GpuSample::pcie_replay_total));
  gpus.write("aether_gpu_pcie_errors_total", kCounter, "PCIe errors.", {{{{"kind", "correctable"}}, of(D::kPcieCorrectableErrors)}});
  gpus.write("aether_gpu_nvlink_errors_total", kCounter, "NVLink errors of all links.",
             {{{{"kind", "crc_flit"}}, of(D::kNvlinkCrcFlitErrors)},
              {{{"kind", "crc_data"}}, of(D::kNvlinkCrcDataErrors)},
              {{{"kind", "replay"}}, of(D::kNvlinkReplayErrors)},
              {{{"kind", "recovery"}}, of(D::kNvlinkRecoveryErrors)}});
  gpus.write("aether_gpu_pcie_link_generation", kGauge, "PCIe generation of the link.",
             {{{{"bound", "current"}}, of(D::kPcieLinkGen)}, {{{"bound", "max"}}, of(D::kPcieLinkGenMax)}});
  gpus.write("aether_gpu_pcie_link_width", kGauge, "PCIe lanes of the link.",
             {{{{"bound", "current"}}, of(D::kPcieLinkWidth)}, {{{"bound", "max"}}, of(D::kPcieLinkWidthMax)}});
}

void write_errors(GpuFamilies& gpus) {
  gpus.write("aether_gpu_ecc_errors_total", kCounter, "Memory errors.",
             {{{{"severity", "corrected"}, {"scope", "volatile"}}, of(&GpuSample::ecc_sbe_volatile_total)},
              {{{"severity", "uncorrected"}, {"scope", "volatile"}}, of(&GpuSample::ecc_dbe_volatile_total)},
              {{{"severity", "corrected"}, {"scope", "aggregate"}}, of(D::kEccSbeAggregate)},
              {{{"severity", "uncorrected"}, {"scope", "aggregate"}}, of(D::kEccDbeAggregate)}});
  gpus.write("aether_gpu_remapped_rows_total", kCounter, "Memory rows replaced by spare ones.",
             {{{{"cause", "corrected"}}, of(D::kRemappedRowsCorrectable)}, {{{"cause", "uncorrected"}}, of(D::kRemappedRowsUncorrectable)}});
  gpus.write("aether_gpu_retired_pages_total", kCounter, "Memory pages taken out of use.",
             {{{{"cause", "corrected"}}, of(D::kRetiredPagesSbe)}, {{{"cause", "uncorrected"}}, of(D::kRetiredPagesDbe)}});
  gpus.write("aether_gpu_remap_pending", kGauge, "1 while a remapped row waits for a reset.", of(D::kRemappedRowsPending));
  gpus.write("aether_gpu_remap_failed", kGauge, "1 when a row could not be remapped.", of(D::kRemappedRowsFailure));
  gpus.write("aether_gpu_recovery_action", kGauge, "What the driver asks for: 0 nothing, 1 reset, 2 restart of the machine.", of(D::kRecoveryAction));
}

bool is_hung(const MetricsInput& input, const GpuUuid& gpu) {
  return std::find(input.driver.hung.begin(), input.driver.hung.end(), gpu) != input.driver.hung.end();
}

// One of the words of aether_gpu_state.
std::string_view state_of(const MetricsInput& input, const MetricsOptions& options, const Agent::KnownGpu& gpu) {
  if (!gpu.present) return "lost";
  if (is_hung(input, gpu.info.gpu_uuid)) return "hung";
  return find_fresh(input, options, gpu.info.gpu_uuid) ? "ok" : "no_data";
}

void write_state(TextWriter& out, const MetricsInput& input, const MetricsOptions& options) {
  out.family("aether_gpu_up", kGauge, "1 while the GPU gives readings; stays, at 0, when it is lost.");
  for (const Agent::KnownGpu& gpu : input.gpus) out.line(GpuFamilies::labels_of(gpu.info), state_of(input, options, gpu) == "ok" ? 1 : 0);
  out.family("aether_gpu_state", kGauge, "1 for the state that the GPU is in.");
  for (const Agent::KnownGpu& gpu : input.gpus)
    for (const std::string_view state : {"ok", "no_data", "hung", "lost"})
      out.line(GpuFamilies::labels_of(gpu.info, {{"state", std::string(state)}}), state_of(input, options, gpu) == state ? 1 : 0);
  out.family("aether_gpu_sample_age_seconds", kGauge, "Age of the newest reading of each tier.");
  for (const Agent::KnownGpu& gpu : input.gpus)
    if (const Reading* reading = find_fresh(input, options, gpu.info.gpu_uuid))
      for (const auto& [tier, at] : {std::pair("fast", reading->detail.fast_at), std::pair("state", reading->detail.state_at), std::pair("slow", reading->detail.slow_at)})
        if (at != Mono{}) out.line(GpuFamilies::labels_of(gpu.info, {{"tier", tier}}), std::chrono::duration<double>(input.now - at).count());
}

void write_info(TextWriter& out, const MetricsInput& input, const MetricsOptions& options) {
  out.family("aether_gpu_info", kGauge, "What does not change about a GPU; always 1.");
  for (const Agent::KnownGpu& gpu : input.gpus) {
    const Reading* reading = find_fresh(input, options, gpu.info.gpu_uuid);
    out.line(GpuFamilies::labels_of(gpu.info, {{"name", gpu.info.gpu_name},
                                               {"pci_bus_id", gpu.info.gpu_pci_bus_id},
                                               {"architecture", gpu.info.gpu_architecture.value_or("")},
                                               {"serial", reading ? reading->detail.serial : ""},
                                               {"vbios", reading ? reading->detail.vbios_version : ""},
                                               {"driver", input.driver_version}}),
             1);
  }
}

void write_mig(TextWriter& out, const MetricsInput& input, const MetricsOptions& options) {
  const auto family = [&](std::string_view name, std::string_view help, const std::function<std::optional<double>(const MigInstance&)>& value) {
    out.family(name, kGauge, help);
    for (const Agent::KnownGpu& gpu : input.gpus)
      if (const Reading* reading = find_fresh(input, options, gpu.info.gpu_uuid))
        for (const MigInstance& mig : reading->detail.mig)
          if (const auto number = value(mig))
            out.line(GpuFamilies::labels_of(gpu.info, {{"mig_uuid", mig.uuid}, {"profile", mig.profile}, {"gpu_instance", std::to_string(mig.gpu_instance)}}), *number);
  };
  const auto bytes = [](const std::optional<std::int64_t>& mb) { return mb ? std::optional(static_cast<double>(*mb) * kMebibyte) : std::nullopt; };
  const auto ratio = [](const std::optional<double>& pct) { return pct ? std::optional(*pct / 100) : std::nullopt; };
  family("aether_gpu_mig_memory_used_bytes", "Memory of a MIG instance in use.", [&](const MigInstance& mig) { return bytes(mig.memory_used_mb); });
  family("aether_gpu_mig_memory_size_bytes", "Memory of a MIG instance.", [&](const MigInstance& mig) { return bytes(mig.memory_total_mb); });
  family("aether_gpu_mig_engine_active_ratio", "Share of the time with any engine of the instance active.", [&](const MigInstance& mig) { return ratio(mig.engine_active_pct); });
  family("aether_gpu_mig_sm_active_ratio", "Share of the time that its multiprocessors were active.", [&](const MigInstance& mig) { return ratio(mig.sm_active_pct); });
  family("aether_gpu_mig_tensor_active_ratio", "Share of the time that its tensor pipes were active.", [&](const MigInstance& mig) { return ratio(mig.tensor_active_pct); });
}

void write_foreign(TextWriter& out, const MetricsInput& input, const MetricsOptions& options) {
  out.family("aether_gpu_foreign_processes", kGauge, "Processes on the GPU that Aether did not start.");
  for (const Agent::KnownGpu& gpu : input.gpus)
    if (const auto known = input.foreign_processes.find(gpu.info.gpu_uuid);
        known != input.foreign_processes.end() && find_fresh(input, options, gpu.info.gpu_uuid))
      out.line(GpuFamilies::labels_of(gpu.info), static_cast<double>(known->second));
}

// A rate misses the first increment of a series that was not there before: those that take a GPU out of service begin at 0.
std::map<std::pair<GpuUuid, std::int64_t>, std::uint64_t> xid_counts(const MetricsInput& input) {
  std::map<std::pair<GpuUuid, std::int64_t>, std::uint64_t> counts;
  for (const Agent::KnownGpu& gpu : input.gpus)
    for (const XidInfo& info : xid_catalogue())
      for (std::int64_t xid = info.first; info.action >= XidAction::kQuarantine && xid <= info.last; ++xid) counts[{gpu.info.gpu_uuid, xid}] = 0;
  for (const auto& xid : input.xids) counts[{xid.gpu_uuid, xid.xid}] = xid.events;
  return counts;
}

void write_xids(TextWriter& out, const MetricsInput& input) {
  const auto index_of = [&](const GpuUuid& uuid) {
    for (const Agent::KnownGpu& gpu : input.gpus)
      if (gpu.info.gpu_uuid == uuid) return std::to_string(gpu.info.gpu_index);
    return std::string();
  };
  out.family("aether_gpu_xid_events_total", kCounter, "XID errors by number.");
  for (const auto& [key, events] : xid_counts(input))
    out.line({{"gpu", index_of(key.first)}, {"uuid", key.first.str()}, {"xid", std::to_string(key.second)}}, static_cast<double>(events));
  out.family("aether_gpu_xid_last_timestamp_seconds", kGauge, "When the last XID of that number came.");
  for (const auto& xid : input.xids)
    out.line({{"gpu", index_of(xid.gpu_uuid)}, {"uuid", xid.gpu_uuid.str()}, {"xid", std::to_string(xid.xid)}},
             static_cast<double>(to_unix_us(xid.last)) / 1e6);
}

void write_agent(TextWriter& out, const MetricsInput& input) {
  const auto one = [&](std::string_view name, MetricType type, std::string_view help, double value) {
    out.family(name, type, help);
    out.line({}, value);
  };
  const auto count = [&](std::string_view name, std::string_view help, std::uint64_t value) { one(name, kCounter, help, static_cast<double>(value)); };
  const AgentCounters& c = input.counters;
  out.family("aether_build_info", kGauge, "The version; always 1.");
  out.line({{"version", input.version}, {"component", "agent"}}, 1);
  count("aether_agent_samples_total", "Readings taken.", c.sampler.samples);
  count("aether_agent_fast_readings_total", "Readings of the fast tier.", c.sampler.fast_readings);
  count("aether_agent_fast_missed_total", "Rounds of the fast tier that fell out.", c.sampler.fast_missed);
  if (c.sampler.fast_period_s > 0)
    one("aether_agent_fast_period_seconds", kGauge, "Time between two rounds of the fast tier, as it is now.", c.sampler.fast_period_s);
  one("aether_agent_round_seconds", kGauge, "How long the last round over all GPUs took.", c.sampler.last_round_s);
  count("aether_agent_failed_reads_total", "Readings that the driver did not give.", c.sampler.failed_reads);
  count("aether_agent_late_ticks_total", "Rounds that took longer than the interval.", c.sampler.late_ticks);
  count("aether_agent_samples_published_total", "Readings that went to the bus.", c.published);
  count("aether_agent_samples_sent_again_total", "Of them, sent again after the connection broke.", c.sent_again);
  count("aether_spool_appended_total", "Readings kept since nobody took them.", c.spool.appended);
  count("aether_spool_dropped_total", "Readings that no longer fitted the spool.", c.spool.dropped);
  one("aether_spool_waiting", kGauge, "Readings in the spool.", static_cast<double>(c.spool.waiting));
  one("aether_spool_bytes", kGauge, "Size of the spool.", static_cast<double>(c.spool.bytes));
  count("aether_agent_commands_total", "Commands received.", c.commands);
  count("aether_agent_commands_rejected_total", "Commands that could not be decoded.", c.commands_rejected);
  count("aether_agent_starts_refused_total", "Starts that were refused.", c.starts_refused);
  count("aether_agent_stale_leader_total", "Commands of an orchestrator that is no longer the one.", c.stale_leader);
  count("aether_agent_leases_expired_total", "Times that no answer came for as long as the lease.", c.leases_expired);
  count("aether_agent_bus_dropped_total", "Messages that a full subscription dropped.", input.bus_dropped);
}

void write_driver(TextWriter& out, const MetricsInput& input) {
  if (input.driver.supervised) {
    out.family("aether_agent_worker_up", kGauge, "1 while the process that calls NVIDIA's library answers.");
    out.line({}, input.driver.up ? 1 : 0);
    out.family("aether_agent_worker_restarts_total", kCounter, "Times that process was replaced, by reason.");
    for (const char* reason : {"hang", "crash"}) {
      const auto found = input.driver.restarts.find(reason);
      out.line({{"reason", reason}}, found == input.driver.restarts.end() ? 0 : static_cast<double>(found->second));
    }
    out.family("aether_agent_workers_abandoned_total", kCounter, "Processes that outlived SIGKILL.");
    out.line({}, static_cast<double>(input.driver.abandoned));
  }
  out.family("aether_process_cpu_seconds_total", kCounter, "Processor time, by role.");
  for (const auto& process : input.processes) out.line({{"role", process.role}}, process.cpu_s);
  out.family("aether_process_resident_memory_bytes", kGauge, "Resident memory, by role.");
  for (const auto& process : input.processes) out.line({{"role", process.role}}, process.resident_bytes);
}

}  // namespace

const Agent::Reading* find_fresh(const MetricsInput& input, const MetricsOptions& options, const GpuUuid& gpu) {
  for (const Reading& reading : input.readings)
    if (reading.sample.gpu_uuid == gpu) return input.now - reading.at <= options.stale_after ? &reading : nullptr;
  return nullptr;
}

std::string metrics_text(const MetricsInput& input, const MetricsOptions& options) {
  TextWriter out(options.format);
  GpuFamilies gpus(out, input, options);
  if (options.dcgm_names != DcgmNames::kOff) write_dcgm(out, input, options);
  write_info(out, input, options);
  write_state(out, input, options);
  write_load(gpus);
  write_memory(gpus);
  write_power_and_heat(gpus);
  write_links(gpus);
  write_errors(gpus);
  write_mig(out, input, options);
  write_foreign(out, input, options);
  write_xids(out, input);
  write_agent(out, input);
  write_driver(out, input);
  return out.take();
}

}  // namespace aether
