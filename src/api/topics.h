#pragma once
// What the stream shows, as a numbered sequence of changes: for each topic the objects as of its last number, and the
// newest changes for clients that are a little behind. Applying a snapshot and the deltas after it gives a later
// snapshot. One owner thread. Texts are shared among all clients.
#include <array>
#include <bitset>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/columns.h"
#include "orchestrator/control.h"

namespace aether::api {

using SharedText = std::shared_ptr<const std::string>;

// The last two are nodes and GPUs without their readings, for clients that get those as columns; on the wire they are
// called "nodes" and "gpus" too.
enum class Topic { kFleet, kNodes, kGpus, kJobs, kAlerts, kNodeStates, kGpuStates };
inline constexpr std::array kTopics = {Topic::kFleet, Topic::kNodes, Topic::kGpus, Topic::kJobs, Topic::kAlerts};
inline constexpr std::size_t kTopicCount = 7;
using TopicSet = std::bitset<kTopicCount>;
inline TopicSet all_topics() { return TopicSet().set(); }
inline std::size_t index_of(Topic topic) { return static_cast<std::size_t>(topic); }
std::string_view to_string(Topic topic);
// With columns, "nodes" and "gpus" mean the topics without readings.
std::optional<Topic> parse_topic(std::string_view text, bool has_columns = false);

struct Delta {
  std::uint64_t prev = 0, seq = 0;
  SharedText text;
};
struct Snapshot {
  std::uint64_t seq = 0;
  std::vector<SharedText> parts;  // at least one
};

enum class Update {
  kEverything,     // with new readings: once a second
  kChangesOfState  // jobs, alerts, and GPUs whose state or jobs changed: as soon as possible
};

class TopicStore {
 public:
  explicit TopicStore(std::uint32_t epoch = 1) : columns_(epoch) {}

  // Topics outside `wanted` stay as they are; the next update that wants them brings them up to date in one step.
  void update(const std::shared_ptr<const ClusterView>& view, Time now, Update what, TopicSet wanted = all_topics());
  const Columns& columns() const { return columns_; }

  std::uint64_t seq() const { return seq_; }  // of the last change of any topic
  std::uint64_t seq_of(Topic topic) const { return state(topic).seq; }
  // The change that builds on `held`; null when that is the present state or no longer kept (see reaches).
  const Delta* after(Topic topic, std::uint64_t held) const;
  // True when the changes from `held` to now are all kept, or there are none.
  bool reaches(Topic topic, std::uint64_t held) const;
  std::size_t behind(Topic topic, std::uint64_t held) const;
  // The topic's number as of the stream's number `seq`; nothing when that is too long ago.
  std::optional<std::uint64_t> held_at(Topic topic, std::uint64_t seq) const;
  std::shared_ptr<const Snapshot> snapshot(Topic topic);

 private:
  struct State {
    std::uint64_t seq = 0;
    std::map<std::string, std::string> items;  // id -> JSON text; the fleet without its history
    std::deque<Delta> recent;
    std::size_t recent_bytes = 0;
    std::shared_ptr<const Snapshot> snapshot;  // of the present seq, once somebody asked
  };
  struct Changes {
    std::vector<std::pair<std::string, std::string>> upsert;
    std::vector<std::string> remove;
  };

  struct SentJob {
    std::shared_ptr<const Job> job;
    std::shared_ptr<const WaitRecord> wait;
    std::string steady;  // its text without the figures that grow every second
    int updates_since_sent = 0;
  };
  // Of running jobs' figures, within one update.
  struct Growth {
    std::size_t bytes = 0;
    bool is_left = false;
    JobId last;
  };

  State& state(Topic topic) { return states_[index_of(topic)]; }
  const State& state(Topic topic) const { return states_[index_of(topic)]; }
  void update_gpus(const ClusterView& view, Update what);
  void update_gpu_states(const ClusterView& view, Time now, Update what);
  void update_jobs(const ClusterView& view, Update what);
  std::optional<std::string> text_to_send(SentJob& sent, const ClusterView& view, Update what, Growth& growth);
  // Topics whose objects are few: compared by their text.
  void replace(Topic topic, std::map<std::string, std::string> items);
  void apply(Topic topic, Changes changes);
  void append(Topic topic, const std::vector<std::string>& upsert, const std::vector<std::string>& remove);

  std::array<State, kTopicCount> states_;
  std::map<GpuUuid, GpuView> gpus_, gpu_states_;  // as last sent
  Columns columns_;
  std::map<JobId, SentJob> jobs_;
  JobId last_grown_;  // where the next update goes on; empty: from the start
  std::shared_ptr<const ClusterView> fleet_view_;
  Time fleet_time_;
  std::uint64_t seq_ = 0;
};

}  // namespace aether::api
