#include "api/view_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "codec/codec.h"

namespace aether::api {
namespace {

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }
Json time_or_null(const std::optional<Time>& time) { return time ? Json(format_rfc3339(*time)) : Json(nullptr); }
template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}
Json model_json(const std::optional<ModelVersion>& model) {
  if (!model) return nullptr;
  return {{"name", model->name}, {"version", model->version}};
}

// What can be added up over readings; nothing at all when nobody reads it.
struct Sum {
  double value = 0;
  int count = 0;
  void add(std::optional<double> reading) {
    if (!reading) return;
    value += *reading;
    ++count;
  }
  Json total() const { return count == 0 ? Json(nullptr) : Json(value); }
  Json mean() const { return count == 0 ? Json(nullptr) : Json(value / count); }
};

std::optional<double> as_double(const std::optional<std::int64_t>& value) {
  return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
}

struct FleetSums {
  int total = 0, allocated = 0, free = 0, out = 0, idle = 0, no_data = 0;
  Sum busy_pct, memory_used_mb, memory_total_mb, power_draw_w, power_limit_w;
  std::optional<double> memory_fullest_pct;
};

void add_gpu(FleetSums& sums, const GpuView& gpu) {
  ++sums.total;
  if (!gpu.jobs.empty()) ++sums.allocated;
  switch (gpu.state) {
    case GpuState::kFree: ++sums.free; break;
    case GpuState::kIdle: ++sums.idle; break;
    case GpuState::kNoData: ++sums.no_data; break;
    case GpuState::kOut:
    case GpuState::kLost:
    case GpuState::kQuarantined: ++sums.out; break;
    default: break;
  }
  if (gpu.info.memory_total_mb > 0) sums.memory_total_mb.add(static_cast<double>(gpu.info.memory_total_mb));
  sums.power_limit_w.add(gpu.info.power_limit_w);
  if (!gpu.sample) return;
  sums.busy_pct.add(gpu.sample->utilization_gpu);
  sums.memory_used_mb.add(as_double(gpu.sample->memory_used_mb));
  sums.power_draw_w.add(gpu.sample->power_draw_w);
  if (gpu.sample->memory_used_mb && gpu.info.memory_total_mb > 0) {
    const double pct =
        100.0 * static_cast<double>(*gpu.sample->memory_used_mb) / static_cast<double>(gpu.info.memory_total_mb);
    sums.memory_fullest_pct = std::max(sums.memory_fullest_pct.value_or(0), pct);
  }
}

Json history_json(const FleetHistory& history) {
  Json time = Json::array();
  for (const Time& at : history.times) time.push_back(to_unix_us(at) / 1000);
  return {{"step_s", 60},
          {"time", std::move(time)},
          {"busy_pct", history.busy_pct},
          {"memory_used_mb", history.memory_used_mb},
          {"power_draw_w", history.power_draw_w},
          {"jobs_pending", history.jobs_pending}};
}

Json gpu_ids_of(const Placement& placement, const ClusterView& view) {
  Json ids = Json::array();
  for (const GpuUuid& uuid : placement.gpu_uuids) {
    const auto gpu = view.gpus.find(uuid);
    ids.push_back(gpu == view.gpus.end() ? uuid.str() : gpu->second.gpu_id);
  }
  return ids;
}

Json uuids_of(const Placement& placement) {
  Json uuids = Json::array();
  for (const GpuUuid& uuid : placement.gpu_uuids) uuids.push_back(uuid.str());
  return uuids;
}

// Why a job waits, in short; a job that does not wait has no reason.
Json reason_of(const Job& job, const ClusterView& view) {
  const auto wait = view.wait_of(job);
  if (is_terminal(job.state) || holds_gpus(job.state)) return nullptr;
  if (wait == nullptr || wait->reasons.empty())
    return {{"code", "NOT_YET_EVALUATED"}, {"summary", "the next cycle looks at it"}};
  return {{"code", wait->reasons.front().code}, {"summary", wait->summary}};
}

Json flags_of(const Job& job, const ClusterView& view) {
  Json flags = Json::array();
  if (job.restart == Restart::kRetry && !is_terminal(job.state)) flags.push_back("RETRYING");
  if (job.restart == Restart::kRequeue && !is_terminal(job.state)) flags.push_back("REQUEUED");
  const Attempt* attempt = job.last_attempt();
  if (attempt == nullptr || !holds_gpus(job.state)) return flags;
  const auto node = view.nodes.find(attempt->placement.node);
  // Not in the view: not heard since the orchestrator started.
  if (node == view.nodes.end() || node->second.state == NodeState::kStale || node->second.state == NodeState::kDown)
    flags.push_back("UNREACHABLE");
  return flags;
}

Json array_json(const Job& job) {
  if (!job.is_array_task()) return nullptr;
  return {{"array_id", job.array_parent.str()},
          {"number", job.array_number},
          {"index", job.array_index},
          {"range", job.spec.array}};
}

Json dependencies_json(const Job& job) {
  Json out = Json::array();
  for (std::size_t i = 0; i < job.spec.depends_on.size(); ++i)
    out.push_back({{"on", to_string(job.spec.depends_on[i])},
                   {"state", i < job.dependencies.size() ? to_string(job.dependencies[i]) : "waiting"}});
  return out;
}

Sum sum_of(const Job& job, std::optional<double> Attempt::*field) {
  Sum sum;
  for (const Attempt& attempt : job.attempts) sum.add(attempt.*field);
  return sum;
}

std::string explain_summary(const Job& job, const WaitRecord* wait, const PlacementRecord* placement) {
  if (wait != nullptr) return wait->summary;
  if (is_terminal(job.state)) {
    const Attempt* attempt = job.last_attempt();
    const std::string why =
        attempt != nullptr && attempt->exit && !attempt->exit->message.empty() ? ": " + attempt->exit->message : "";
    return fmt::format("It has ended: {}{}", to_string(job.state), why);
  }
  if (placement != nullptr) return placement->summary;
  return holds_gpus(job.state) ? "It has its GPUs; the record of that decision is no longer kept"
                               : "The next cycle looks at it";
}

}  // namespace

bool is_simulated(const ClusterView& view) {
  if (view.gpus.empty()) return false;
  return std::all_of(view.gpus.begin(), view.gpus.end(),
                     [](const auto& entry) { return entry.second.info.source == GpuSource::kSimulated; });
}

Json fleet_json(const ClusterView& view, Time now, bool with_history) {
  FleetSums sums;
  for (const auto& [uuid, gpu] : view.gpus) add_gpu(sums, gpu);
  int pending = 0, running = 0, finished = 0;
  for (const auto& [id, job] : view.jobs) {
    if (job->state == JobState::kPending || job->state == JobState::kHeld) ++pending;
    if (holds_gpus(job->state)) ++running;
    if (is_terminal(job->state) && job->ended_at && now - *job->ended_at < std::chrono::hours(24)) ++finished;
  }
  std::optional<Time> next_start;
  for (const auto& [id, wait] : view.waiting)
    if (wait->start_eta && (!next_start || *wait->start_eta < *next_start)) next_start = wait->start_eta;
  Json out = {{"time", format_rfc3339(view.at)},
              {"gpus_total", sums.total},
              {"gpus_allocated", sums.allocated},
              {"gpus_free", sums.free},
              {"gpus_out", sums.out},
              {"gpus_idle", sums.idle},
              {"gpus_no_data", sums.no_data},
              {"busy_pct", sums.busy_pct.mean()},
              {"memory_used_mb", sums.memory_used_mb.total()},
              {"memory_total_mb", sums.memory_total_mb.total()},
              {"memory_fullest_pct", or_null(sums.memory_fullest_pct)},
              {"power_draw_w", sums.power_draw_w.total()},
              {"power_limit_w", sums.power_limit_w.total()},
              {"jobs_pending", pending},
              {"jobs_running", running},
              {"jobs_finished_24h", finished},
              {"next_start_eta", time_or_null(next_start)},
              {"simulated", is_simulated(view)},
              {"model", model_json(view.model)},
              {"carbon", view.carbon ? carbon_json(*view.carbon, view, now) : Json(nullptr)}};
  if (with_history) out["history"] = history_json(view.history);
  return out;
}

Json node_json(const NodeView& node, const ClusterView& view) {
  int total = 0, free = 0;
  Sum power;
  std::optional<double> hottest;
  for (const GpuInfo& info : node.inventory.gpus) {
    ++total;
    const auto gpu = view.gpus.find(info.gpu_uuid);
    if (gpu == view.gpus.end()) continue;
    if (gpu->second.state == GpuState::kFree) ++free;
    if (!gpu->second.sample) continue;
    power.add(gpu->second.sample->power_draw_w);
    if (const auto temperature = gpu->second.sample->temperature_c)
      hottest = std::max(hottest.value_or(*temperature), *temperature);
  }
  const NodeInventory& inventory = node.inventory;
  return {{"node", inventory.node.str()},
          {"state", to_string(node.state)},
          {"drain_reason", text_or_null(node.drain_reason)},
          {"simulated", inventory.source == GpuSource::kSimulated},
          {"source", to_string(inventory.source)},
          {"exec_mode", inventory.exec_mode},
          {"run_as", text_or_null(inventory.run_as)},
          {"agent_version", text_or_null(inventory.agent_version)},
          {"driver_version", text_or_null(inventory.driver_version)},
          {"host_name", text_or_null(inventory.host_name)},
          {"gpus", total},
          {"gpus_free", free},
          {"temperature_max_c", or_null(hottest)},
          {"power_draw_w", power.total()},
          {"last_seen", format_rfc3339(node.last_seen)}};
}

Json gpu_json(const GpuView& gpu) {
  Json jobs = Json::array();
  for (const GpuJob& job : gpu.jobs)
    jobs.push_back({{"job_id", job.job.str()}, {"number", job.number}, {"name", job.name}});
  return {{"gpu_uuid", gpu.info.gpu_uuid.str()},
          {"gpu_id", gpu.gpu_id},
          {"node", gpu.node.str()},
          {"gpu_index", gpu.info.gpu_index},
          {"gpu_name", gpu.info.gpu_name},
          {"source", to_string(gpu.info.source)},
          {"state", to_string(gpu.state)},
          {"state_reason", text_or_null(gpu.state_reason)},
          {"state_since", format_rfc3339(gpu.state_since)},
          {"memory_total_mb", gpu.info.memory_total_mb > 0 ? Json(gpu.info.memory_total_mb) : Json(nullptr)},
          {"power_limit_w", or_null(gpu.info.power_limit_w)},
          {"temperature_slowdown_c", or_null(gpu.info.temperature_slowdown_c)},
          {"allocated_mb", gpu.allocated_mb},
          {"jobs", std::move(jobs)},
          {"sample", gpu.sample ? codec::encode_sample_json(*gpu.sample) : Json(nullptr)}};
}

Json job_json(const Job& job, const ClusterView& view) {
  Json env_names = Json::array();
  for (const auto& [name, unused] : job.spec.env) env_names.push_back(name);
  const Attempt* attempt = job.last_attempt();
  return {{"job_id", job.id.str()},
          {"number", job.number},
          {"name", job.spec.name},
          {"type", to_string(job.spec.type)},
          {"state", to_string(job.state)},
          {"flags", flags_of(job, view)},
          {"user", job.user},
          {"queue", job.queue},
          {"priority", job.spec.priority},
          {"gpus", job.spec.gpus},
          {"gpu_mem_mb", or_null(job.spec.gpu_mem_mb)},
          {"gpu_type", text_or_null(job.spec.gpu_type)},
          {"share", to_string(job.spec.share)},
          {"time_limit_s", job.spec.time_limit_s},
          {"grace_s", job.spec.grace_s},
          {"argv", job.spec.argv},
          {"script", or_null(job.spec.script)},
          {"workdir", text_or_null(job.spec.workdir)},
          {"env_names", std::move(env_names)},
          {"labels", job.spec.labels},
          {"array", array_json(job)},
          {"depends_on", dependencies_json(job)},
          {"begin", time_or_null(job.spec.begin)},
          {"deadline", time_or_null(job.spec.deadline)},
          {"retries", job.spec.retries},
          {"retries_used", job.retries_used},
          {"requeue", job.spec.requeue},
          {"next_try_at", is_terminal(job.state) ? Json(nullptr) : time_or_null(job.not_before)},
          {"submitted_at", format_rfc3339(job.submitted_at)},
          {"started_at", attempt != nullptr ? time_or_null(attempt->started_at) : Json(nullptr)},
          {"ended_at", time_or_null(job.ended_at)},
          {"attempt", attempt != nullptr ? attempt->id.n : 0},
          {"attempts", job.attempts.size()},
          {"node", attempt != nullptr ? text_or_null(attempt->placement.node.str()) : Json(nullptr)},
          {"gpu_uuids", attempt != nullptr ? uuids_of(attempt->placement) : Json::array()},
          {"gpu_ids", attempt != nullptr ? gpu_ids_of(attempt->placement, view) : Json::array()},
          {"exit", attempt != nullptr && attempt->exit ? codec::encode_exit(*attempt->exit) : Json(nullptr)},
          {"reason", reason_of(job, view)},
          {"energy_j", sum_of(job, &Attempt::energy_j).total()},
          {"carbon_g", sum_of(job, &Attempt::carbon_g).total()}};
}

Json attempt_json(const Attempt& attempt, const ClusterView& view) {
  return {{"attempt", attempt.id.n},
          {"epoch", attempt.epoch},
          {"state", to_string(attempt.state)},
          {"node", text_or_null(attempt.placement.node.str())},
          {"gpu_uuids", uuids_of(attempt.placement)},
          {"gpu_ids", gpu_ids_of(attempt.placement, view)},
          {"assigned_at", format_rfc3339(attempt.assigned_at)},
          {"started_at", time_or_null(attempt.started_at)},
          {"ended_at", time_or_null(attempt.ended_at)},
          {"exit", attempt.exit ? codec::encode_exit(*attempt.exit) : Json(nullptr)},
          {"stop_reason", or_null(attempt.stop_reason)},
          {"energy_j", or_null(attempt.energy_j)},
          {"carbon_g", or_null(attempt.carbon_g)}};
}

Json job_event_json(const JobEvent& event) {
  return {{"time", format_rfc3339(event.time)},
          {"from", text_or_null(event.from)},
          {"to", event.to},
          {"actor", event.actor},
          {"reason", text_or_null(event.reason)},
          {"epoch", event.epoch},
          {"attempt", event.attempt}};
}

Json alert_json(const Alert& alert, const ClusterView& view) {
  Json out = codec::encode_alert(alert);
  out["number"] = nullptr;
  if (alert.job)
    if (const auto job = view.jobs.find(*alert.job); job != view.jobs.end()) out["number"] = job->second->number;
  const auto snoozed = view.snoozed.find(alert.id);
  const bool sleeps = snoozed != view.snoozed.end() && snoozed->second > view.at;
  out["snoozed_until"] = sleeps ? Json(format_rfc3339(snoozed->second)) : Json(nullptr);
  return out;
}

Json carbon_json(const CarbonReport& report, const ClusterView& view, Time now) {
  Json out = codec::encode_carbon(report, now);
  Sum power;
  for (const auto& [uuid, gpu] : view.gpus)
    if (gpu.sample) power.add(gpu.sample->power_draw_w);
  out["kg_per_h"] = power.count == 0 ? Json(nullptr) : Json(power.value / 1000 * report.intensity_g_per_kwh / 1000);
  return out;
}

namespace {
// Of a pending job that shares its record with everybody behind: counted when somebody asks.
int position_in_line(const Job& job, const ClusterView& view) {
  int ahead = 0;
  for (const auto& [id, other] : view.jobs) {
    if (other->state != JobState::kPending) continue;
    const int more = other->spec.priority - job.spec.priority;
    if (more < 0 || (more == 0 && other->number >= job.number)) continue;
    const auto own = view.waiting.find(id);
    const bool is_gated = own != view.waiting.end() && own->second->queue_position == 0;
    if (!is_gated) ++ahead;
  }
  return ahead + 1;
}
}  // namespace

Json explain_json(const Job& job, const WaitRecord* wait, const PlacementRecord* placement, const ClusterView& view) {
  Json out = {{"evaluated_at", nullptr},   {"cycle", nullptr},     {"reasons", Json::array()},
              {"checks", Json::array()},   {"start_eta", nullptr}, {"counterfactuals", Json::array()},
              {"queue_position", nullptr}, {"counts", nullptr}};
  const bool waits = !is_terminal(job.state) && !holds_gpus(job.state);
  if (!waits) wait = nullptr;
  if (wait != nullptr) {
    out.update(codec::encode_wait_record(*wait));
    if (wait == view.behind.get()) out["queue_position"] = position_in_line(job, view);
    for (Json& item : out["counterfactuals"]) item["text"] = item["change"];
  } else if (waits) {
    out["reasons"].push_back({{"code", "NOT_YET_EVALUATED"},
                              {"blocking", true},
                              {"text", "no cycle has looked at it since it was submitted or changed"}});
  }
  out["job"] = job.id.str();
  out["number"] = job.number;
  out["state"] = to_string(job.state);
  out["summary"] = explain_summary(job, wait, placement);
  out["placement"] = placement != nullptr ? codec::encode_placement_record(*placement) : Json(nullptr);
  if (placement != nullptr && wait == nullptr) {
    out["evaluated_at"] = format_rfc3339(placement->decided_at);
    out["cycle"] = placement->cycle;
  }
  out["model"] = model_json(view.model);
  return out;
}

}  // namespace aether::api
