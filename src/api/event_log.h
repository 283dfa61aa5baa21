#pragma once
// What happened lately, told from the difference of two views: the source of GET /api/v1/events. In memory: the newest
// 1,000 since the start of the process. The durable history of a job is at /api/v1/jobs/{id}/events. Thread-safe.
#include <cstdint>
#include <deque>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "orchestrator/control.h"

namespace aether::api {

struct SystemEvent {
  std::string cursor;
  Time time;
  std::string kind;  // "job", "node", "gpu", "alert"
  std::string text;
  std::string node, gpu_uuid, job_id;  // empty where it does not apply
};
nlohmann::json system_event_json(const SystemEvent& event);

class EventLog {
 public:
  EventLog();

  // Adds what differs. The first view only sets the start.
  void observe(const std::shared_ptr<const ClusterView>& view);
  // Oldest first. Behind `cursor`; with an empty cursor, or one of another process, the newest `limit`.
  std::vector<SystemEvent> read(const std::string& cursor, std::size_t limit) const;

 private:
  void add(Time time, std::string kind, std::string text, std::string node, std::string gpu_uuid, std::string job_id);
  void compare_jobs(const ClusterView& before, const ClusterView& now);
  void compare_nodes(const ClusterView& before, const ClusterView& now);
  void compare_gpus(const ClusterView& before, const ClusterView& now);
  void compare_alerts(const ClusterView& before, const ClusterView& now);

  const std::string process_;
  mutable std::mutex mutex_;
  std::shared_ptr<const ClusterView> last_;
  std::deque<SystemEvent> events_;
  std::uint64_t next_ = 1;  // number of the next event
};

}  // namespace aether::api
