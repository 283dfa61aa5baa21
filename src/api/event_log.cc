#include "api/event_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/secret.h"

namespace aether::api {
namespace {

constexpr std::size_t kKept = 1000;

bool is_out_of_service(GpuState state) {
  return state == GpuState::kOut || state == GpuState::kLost || state == GpuState::kQuarantined ||
         state == GpuState::kNoData;
}

nlohmann::json or_null(const std::string& text) {
  return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
}

}  // namespace

nlohmann::json system_event_json(const SystemEvent& event) {
  return {{"cursor", event.cursor},
          {"time", format_rfc3339(event.time)},
          {"kind", event.kind},
          {"text", event.text},
          {"node", or_null(event.node)},
          {"gpu_uuid", or_null(event.gpu_uuid)},
          {"job_id", or_null(event.job_id)}};
}

EventLog::EventLog() : process_(random_hex(4)) {}

void EventLog::add(Time time, std::string kind, std::string text, std::string node, std::string gpu_uuid,
                   std::string job_id) {
  events_.push_back({fmt::format("{}-{}", process_, next_++), time, std::move(kind), std::move(text), std::move(node),
                     std::move(gpu_uuid), std::move(job_id)});
  if (events_.size() > kKept) events_.pop_front();
}

void EventLog::observe(const std::shared_ptr<const ClusterView>& view) {
  std::lock_guard lock(mutex_);
  if (last_ && last_->version != view->version) {
    compare_jobs(*last_, *view);
    compare_nodes(*last_, *view);
    compare_gpus(*last_, *view);
    compare_alerts(*last_, *view);
  }
  last_ = view;
}

void EventLog::compare_jobs(const ClusterView& before, const ClusterView& now) {
  now.jobs.visit_changes(before.jobs, [&](const JobId& id, const auto& job, const auto* old) {
    if (old != nullptr && (*old)->state == job->state) return;
    const Attempt* attempt = job->last_attempt();
    const std::string node = attempt != nullptr ? attempt->placement.node.str() : "";
    const std::string name = fmt::format("job {} '{}'", job->number, job->spec.name);
    std::string text = old == nullptr ? fmt::format("{} submitted by {}", name, job->user)
                                      : fmt::format("{} is {}", name, to_string(job->state));
    if (holds_gpus(job->state) && !node.empty()) text += " on " + node;
    add(now.at, "job", std::move(text), node, "", id.str());
  });
}

void EventLog::compare_nodes(const ClusterView& before, const ClusterView& now) {
  now.nodes.visit_changes(before.nodes, [&](const NodeId& id, const NodeView& node, const NodeView* old) {
    if (old == nullptr)
      add(now.at, "node", fmt::format("node {} joined with {} GPUs", id.str(), node.inventory.gpus.size()), id.str(),
          "", "");
    else if (old->state != node.state)
      add(now.at, "node",
          fmt::format("node {} is {}{}", id.str(), to_string(node.state),
                      node.drain_reason.empty() ? "" : ": " + node.drain_reason),
          id.str(), "", "");
  });
}

void EventLog::compare_gpus(const ClusterView& before, const ClusterView& now) {
  now.gpus.visit_changes(before.gpus, [&](const GpuUuid& uuid, const GpuView& gpu, const GpuView* old) {
    if (old == nullptr || old->state == gpu.state) return;
    // Free and busy change with every job, whose own events say so.
    if (!is_out_of_service(gpu.state) && !is_out_of_service(old->state)) return;
    add(now.at, "gpu",
        fmt::format("GPU {} is {}{}", gpu.gpu_id, to_string(gpu.state),
                    gpu.state_reason.empty() ? "" : ": " + gpu.state_reason),
        gpu.node.str(), uuid.str(), "");
  });
}

void EventLog::compare_alerts(const ClusterView& before, const ClusterView& now) {
  for (const Alert& alert : now.alerts) {
    const auto old = std::find_if(before.alerts.begin(), before.alerts.end(),
                                  [&](const Alert& a) { return a.id == alert.id && a.since == alert.since; });
    const bool is_new = old == before.alerts.end() && !alert.cleared_at;
    const bool is_cleared = old != before.alerts.end() && !old->cleared_at && alert.cleared_at;
    if (is_new || is_cleared)
      add(now.at, "alert", is_new ? alert.title : "over: " + alert.title, alert.node.str(), alert.gpu_uuid.str(),
          alert.job ? alert.job->str() : "");
  }
}

std::vector<SystemEvent> EventLog::read(const std::string& cursor, std::size_t limit) const {
  std::lock_guard lock(mutex_);
  std::uint64_t after = 0;
  bool is_ours = false;
  if (cursor.starts_with(process_ + "-")) {
    const char* start = cursor.data() + process_.size() + 1;
    is_ours = std::from_chars(start, cursor.data() + cursor.size(), after).ec == std::errc();
  }
  const std::uint64_t first_kept = next_ - events_.size();
  const std::size_t skip = is_ours ? static_cast<std::size_t>(std::clamp(after + 1, first_kept, next_) - first_kept)
                                   : events_.size() - std::min(limit, events_.size());
  std::vector<SystemEvent> out;
  for (std::size_t i = skip; i < events_.size() && out.size() < limit; ++i) out.push_back(events_[i]);
  return out;
}

}  // namespace aether::api
