#include "anomaly/threshold_alerts.h"

#include <algorithm>

#include <fmt/format.h>

#include "model/xid.h"

namespace aether {
namespace {

AlertId alert_id(const std::string& kind, const GpuUuid& gpu) { return AlertId(kind + "/" + gpu.str()); }

std::string gpu_text(const GpuReading& reading) {
  return fmt::format("GPU {} on {}", reading.info.gpu_index, reading.node.str());
}

Severity severity_of(std::int64_t xid) {
  switch (xid_info(xid).action) {
    case XidAction::kNote:
    case XidAction::kChargeJob: return Severity::kInfo;
    case XidAction::kWarn: return Severity::kWarning;
    case XidAction::kQuarantine:
    case XidAction::kLost: return Severity::kCritical;
  }
  return Severity::kWarning;
}

}  // namespace

void ThresholdAlerts::restore(std::vector<Alert> open) {
  for (Alert& alert : open) {
    const AlertId id = alert.id;
    alerts_[id] = std::move(alert);
  }
}

std::vector<Alert> ThresholdAlerts::update(const GpuReading& reading, Time now) {
  std::vector<Alert> out;
  judge_presence(reading, now, out);
  if (reading.sample != nullptr) {
    judge_temperature(reading, now, out);
    judge_throttling(reading, now, out);
    judge_faults(reading, now, out);
  }
  judge_idle(reading, now, out);
  return out;
}

void ThresholdAlerts::forget(const GpuUuid& gpu) {
  memory_.erase(gpu);
  std::erase_if(alerts_, [&](const auto& entry) { return entry.second.gpu_uuid == gpu; });
}

bool ThresholdAlerts::acknowledge(const AlertId& id) {
  const auto it = alerts_.find(id);
  if (it == alerts_.end()) return false;
  it->second.acknowledged = true;
  return true;
}

bool ThresholdAlerts::is_idle(const GpuUuid& gpu) const {
  const Alert* alert = find(alert_id("idle", gpu));
  return alert != nullptr && !alert->cleared_at;
}

std::vector<Alert> ThresholdAlerts::current(Time now) const {
  std::vector<Alert> out;
  for (const auto& [id, alert] : alerts_)
    if (!alert.cleared_at || now - *alert.cleared_at < std::chrono::hours(1)) out.push_back(alert);
  std::stable_sort(out.begin(), out.end(), [](const Alert& a, const Alert& b) {
    if (a.cleared_at.has_value() != b.cleared_at.has_value()) return !a.cleared_at.has_value();
    if (a.severity != b.severity) return a.severity > b.severity;
    return a.since > b.since;
  });
  return out;
}

std::optional<Alert> ThresholdAlerts::set(const Alert& alert, bool bad, Time now) {
  const auto it = alerts_.find(alert.id);
  const bool is_open = it != alerts_.end() && !it->second.cleared_at;
  if (bad == is_open) return std::nullopt;
  if (!bad) {
    it->second.cleared_at = now;
    return it->second;
  }
  Alert& opened = alerts_[alert.id];
  opened = alert;
  opened.since = now;
  return opened;
}

const Alert* ThresholdAlerts::find(const AlertId& id) const {
  const auto it = alerts_.find(id);
  return it == alerts_.end() ? nullptr : &it->second;
}

template <class Describe>
void ThresholdAlerts::judge(const GpuReading& reading, Time now, const Verdict& verdict, std::vector<Alert>& out,
                            Describe describe) {
  Condition& condition = memory_[reading.info.gpu_uuid].conditions[verdict.kind];
  if (verdict.bad) {
    condition.good_since.reset();
    if (!condition.bad_since) condition.bad_since = now;
    if (now - *condition.bad_since >= verdict.open_for) open(reading, now, verdict.kind, describe(), out);
    return;
  }
  if (verdict.good) {
    condition.bad_since.reset();
    if (!condition.good_since) condition.good_since = now;
    if (now - *condition.good_since >= verdict.clear_for) clear(verdict.kind, reading, now, out);
  }
}

void ThresholdAlerts::open(const GpuReading& reading, Time now, const char* kind, const Finding& finding,
                           std::vector<Alert>& out) {
  const AlertId id = alert_id(kind, reading.info.gpu_uuid);
  Alert& alert = alerts_[id];
  const bool is_new = alert.id.empty() || alert.cleared_at;
  if (is_new) {
    alert = Alert{};
    alert.id = id;
    alert.kind = kind;
    alert.node = reading.node;
    alert.gpu_uuid = reading.info.gpu_uuid;
    alert.gpu_id = reading.gpu_id;
    alert.since = now;
  }
  const bool worse = finding.severity > alert.severity && !is_new;
  alert.severity = finding.severity;
  alert.title = finding.title;
  alert.detail = finding.detail;
  alert.value = finding.value;
  alert.threshold = finding.threshold;
  alert.unit = finding.unit;
  alert.job = reading.job;
  if (is_new || worse) out.push_back(alert);
}

void ThresholdAlerts::clear(const std::string& kind, const GpuReading& reading, Time now, std::vector<Alert>& out) {
  const auto it = alerts_.find(alert_id(kind, reading.info.gpu_uuid));
  if (it == alerts_.end() || it->second.cleared_at) return;
  it->second.cleared_at = now;
  out.push_back(it->second);
}

void ThresholdAlerts::judge_temperature(const GpuReading& reading, Time now, std::vector<Alert>& out) {
  if (!reading.sample->temperature_c) return;
  const double measured = *reading.sample->temperature_c;
  double limit = options_.temperature_c;
  if (reading.info.temperature_slowdown_c) limit = std::min(limit, *reading.info.temperature_slowdown_c - 3.0);
  const bool over_slowdown = reading.info.temperature_slowdown_c && measured >= *reading.info.temperature_slowdown_c;
  judge(reading, now,
        {"temperature", measured >= limit, measured < limit - options_.temperature_clear_c, options_.temperature_for,
         options_.temperature_for},
        out, [&] {
          return Finding{over_slowdown ? Severity::kCritical : Severity::kWarning, gpu_text(reading) + " is hot",
                         fmt::format("{:.0f} °C, the limit is {:.0f} °C", measured, limit), "°C", measured, limit};
        });
}

void ThresholdAlerts::judge_throttling(const GpuReading& reading, Time now, std::vector<Alert>& out) {
  if (!reading.sample->throttling_reasons) return;
  const GpuSample& sample = *reading.sample;
  const bool bad = is_harmful_throttling(*sample.throttling_reasons);
  judge(reading, now, {"throttling", bad, !bad, options_.throttling_for, options_.throttling_clear_for}, out, [&] {
    std::string detail = "Reasons: " + *sample.throttling_reasons;
    if (sample.temperature_c) detail += fmt::format(", {:.0f} °C", *sample.temperature_c);
    if (sample.clock_gpu_mhz && reading.info.clock_gpu_max_mhz)
      detail += fmt::format(", {:.0f} of {} MHz", *sample.clock_gpu_mhz, *reading.info.clock_gpu_max_mhz);
    return Finding{Severity::kWarning, gpu_text(reading) + " is throttling", detail, "MHz", sample.clock_gpu_mhz,
                   std::nullopt};
  });
}

void ThresholdAlerts::judge_idle(const GpuReading& reading, Time now, std::vector<Alert>& out) {
  const bool held = reading.job && reading.held_since;
  const auto utilization = reading.sample != nullptr ? reading.sample->utilization_gpu : std::nullopt;
  if (held && !utilization) return;
  const bool bad = held && *utilization < options_.idle_utilization_pct;
  judge(reading, now, {"idle", bad, !bad, options_.idle_for, std::chrono::seconds(0)}, out, [&] {
    return Finding{Severity::kWarning, gpu_text(reading) + " is held but idle",
                   fmt::format("{:.0f} % busy for {} min or more while a job holds it", utilization.value_or(0),
                               options_.idle_for.count() / 60),
                   "%", utilization, options_.idle_utilization_pct};
  });
}

void ThresholdAlerts::judge_faults(const GpuReading& reading, Time now, std::vector<Alert>& out) {
  GpuMemory& memory = memory_[reading.info.gpu_uuid];
  const auto dbe = reading.sample->ecc_dbe_volatile_total;
  if (dbe && *dbe > memory.ecc_dbe.value_or(0)) memory.ecc_seen = now;
  if (dbe) memory.ecc_dbe = dbe;
  const bool ecc_fresh = memory.ecc_seen && now - *memory.ecc_seen < options_.fault_clear_for;
  judge(reading, now, {"ecc", ecc_fresh, !ecc_fresh}, out, [&] {
    return Finding{Severity::kCritical, gpu_text(reading) + " has uncorrectable memory errors",
                   fmt::format("{} double-bit ECC errors since the driver was loaded", dbe.value_or(0)), "errors",
                   dbe ? std::optional(static_cast<double>(*dbe)) : std::nullopt, 0.0};
  });

  const auto xid_time = reading.sample->xid_last_time;
  if (reading.sample->xid_last && xid_time != memory.xid_time) memory.xid_seen = now;
  memory.xid_time = xid_time;
  const bool xid_fresh = memory.xid_seen && now - *memory.xid_seen < options_.fault_clear_for;
  judge(reading, now, {"xid", xid_fresh, !xid_fresh}, out, [&] {
    const std::int64_t xid = reading.sample->xid_last.value_or(0);
    return Finding{severity_of(xid), fmt::format("{}: Xid {}", gpu_text(reading), xid), xid_text(xid), "",
                   static_cast<double>(xid), std::nullopt};
  });
}

void ThresholdAlerts::judge_presence(const GpuReading& reading, Time now, std::vector<Alert>& out) {
  judge(reading, now, {"gpu_lost", !reading.present, reading.present}, out, [&] {
    return Finding{Severity::kCritical, gpu_text(reading) + " is lost", "Its node's driver does not list it any more", "",
                   std::nullopt, std::nullopt};
  });
  const bool silent = reading.present && reading.sample == nullptr;
  judge(reading, now, {"no_data", silent, !silent, options_.no_data_for}, out, [&] {
    return Finding{Severity::kWarning, gpu_text(reading) + " sends no data",
                   fmt::format("No reading for {} s or more", options_.no_data_for.count()), "", std::nullopt, std::nullopt};
  });
}

}  // namespace aether
