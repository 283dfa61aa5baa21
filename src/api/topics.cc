#include "api/topics.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "api/view_json.h"
#include "codec/codec.h"

namespace aether::api {
namespace {

constexpr std::size_t kPartBytes = 256u << 10;
constexpr std::size_t kRecentDeltas = 300;
// Energy of running jobs goes out this seldom, unless something else changes, and so much at once: with many jobs each
// one's turn comes later.
constexpr int kUpdatesBetweenGrowth = 10;
constexpr std::size_t kGrowthBytes = 6u << 10;
constexpr std::size_t kRecentBytes = 4u << 20;
// Of each kind of job a client is shown so many; lists of all of them are at /api/v1/jobs.
constexpr std::size_t kMostRunning = 1000, kMostWaiting = 500, kMostEnded = 200;

std::string join(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) {
    if (!out.empty()) out += ',';
    out += text;
  }
  return out;
}

bool is_same_but_readings(const GpuView& a, const GpuView& b) {
  return a.state == b.state && a.state_reason == b.state_reason && a.state_since == b.state_since &&
         a.allocated_mb == b.allocated_mb && a.jobs.size() == b.jobs.size() &&
         std::equal(a.jobs.begin(), a.jobs.end(), b.jobs.begin(),
                    [](const GpuJob& x, const GpuJob& y) { return x.job == y.job; }) &&
         a.info == b.info;
}

// As far as a job's item shows its reason to wait.
bool says_the_same(const std::shared_ptr<const WaitRecord>& a, const std::shared_ptr<const WaitRecord>& b) {
  if (a == b) return true;
  if (a == nullptr || b == nullptr || a->reasons.empty() != b->reasons.empty()) return false;
  return a->summary == b->summary && (a->reasons.empty() || a->reasons.front().code == b->reasons.front().code);
}

// Which jobs are shown: the newest that hold GPUs, the front of the queue, the newest that ended.
class ShownJobs {
 public:
  explicit ShownJobs(const ClusterView& view) {
    std::vector<Turn> waiting;
    for (const auto& [id, job] : view.jobs) {
      if (is_terminal(job->state)) ++ended_;
      else if (holds_gpus(job->state)) ++running_;
      else waiting.push_back(turn_of(*job));
    }
    if (waiting.size() <= kMostWaiting) return;
    std::nth_element(waiting.begin(), waiting.begin() + (kMostWaiting - 1), waiting.end());
    last_ = waiting[kMostWaiting - 1];
  }

  // Asked once for each job, in the order of the view: the oldest come first.
  bool next(const Job& job) {
    if (is_terminal(job.state)) return ended_-- <= kMostEnded;
    if (holds_gpus(job.state)) return running_-- <= kMostRunning;
    return turn_of(job) <= last_;
  }

 private:
  using Turn = std::pair<int, std::int64_t>;
  static Turn turn_of(const Job& job) { return {-job.spec.priority, job.number}; }

  std::size_t running_ = 0, ended_ = 0;
  // Of the last that is shown; without a cut behind everybody's.
  Turn last_{std::numeric_limits<int>::max(), std::numeric_limits<std::int64_t>::max()};
};

}  // namespace

std::string_view to_string(Topic topic) {
  switch (topic) {
    case Topic::kFleet: return "fleet";
    case Topic::kNodes: return "nodes";
    case Topic::kGpus: return "gpus";
    case Topic::kJobs: return "jobs";
    case Topic::kAlerts: return "alerts";
    case Topic::kNodeStates: return "nodes";
    case Topic::kGpuStates: return "gpus";
  }
  return "";
}

std::optional<Topic> parse_topic(std::string_view text, bool has_columns) {
  for (Topic topic : kTopics) {
    if (to_string(topic) != text) continue;
    if (has_columns && topic == Topic::kNodes) return Topic::kNodeStates;
    if (has_columns && topic == Topic::kGpus) return Topic::kGpuStates;
    return topic;
  }
  return std::nullopt;
}

void TopicStore::update(const std::shared_ptr<const ClusterView>& view, Time now, Update what, TopicSet wanted) {
  const auto wants = [&](Topic topic) { return wanted.test(index_of(topic)); };
  if (wants(Topic::kGpus)) update_gpus(*view, what);
  if (wants(Topic::kJobs)) update_jobs(*view, what);
  if (wants(Topic::kAlerts)) {
    std::map<std::string, std::string> alerts;
    for (const Alert& alert : view->alerts) alerts[alert.id.str()] = codec::dump(alert_json(alert, *view));
    replace(Topic::kAlerts, std::move(alerts));
  }
  if (what == Update::kEverything) {
    std::map<std::string, std::string> nodes, node_states;
    const bool wants_nodes = wants(Topic::kNodes) || wants(Topic::kNodeStates);
    for (const auto& [id, node] : view->nodes) {
      if (!wants_nodes) break;
      nlohmann::json json = node_json(node, *view);
      if (wants(Topic::kNodes)) nodes[id.str()] = codec::dump(json);
      for (const char* reading : {"temperature_max_c", "power_draw_w", "last_seen"}) json.erase(reading);
      if (wants(Topic::kNodeStates)) node_states[id.str()] = codec::dump(json);
    }
    if (wants(Topic::kNodes)) replace(Topic::kNodes, std::move(nodes));
    if (wants(Topic::kNodeStates)) replace(Topic::kNodeStates, std::move(node_states));
    if (wants(Topic::kFleet)) {
      fleet_view_ = view;
      fleet_time_ = now;
      replace(Topic::kFleet, {{"fleet", codec::dump(fleet_json(*view, now, false))}});
    }
  }
  // Last, so that a frame of readings is the newest of its tick: a client that holds it holds everything before it.
  if (wants(Topic::kGpuStates)) update_gpu_states(*view, now, what);
}

void TopicStore::update_gpu_states(const ClusterView& view, Time now, Update what) {
  Changes changes;
  if (columns_.update_inventory(view)) {
    // Slots mean something else now: a number without a change, so that nobody goes on from the old order.
    State& present = state(Topic::kGpuStates);
    present.seq = ++seq_;
    present.recent.clear();
    present.recent_bytes = 0;
    present.snapshot.reset();
  }
  for (const auto& [uuid, gpu] : view.gpus) {
    const auto old = gpu_states_.find(uuid);
    if (old != gpu_states_.end() && is_same_but_readings(old->second, gpu)) continue;
    nlohmann::json json = gpu_json(gpu);
    json.erase("sample");
    changes.upsert.emplace_back(uuid.str(), codec::dump(json));
    GpuView& held = gpu_states_[uuid] = gpu;
    held.sample.reset();
  }
  std::erase_if(gpu_states_, [&](const auto& entry) {
    if (view.gpus.contains(entry.first)) return false;
    changes.remove.push_back(entry.first.str());
    return true;
  });
  apply(Topic::kGpuStates, std::move(changes));
  if (what == Update::kEverything) columns_.update_readings(view, now, ++seq_);
}

void TopicStore::update_gpus(const ClusterView& view, Update what) {
  Changes changes;
  for (const auto& [uuid, gpu] : view.gpus) {
    const auto old = gpus_.find(uuid);
    const bool has_new_reading =
        what == Update::kEverything && (old == gpus_.end() || old->second.sample != gpu.sample);
    if (old != gpus_.end() && !has_new_reading && is_same_but_readings(old->second, gpu)) continue;
    changes.upsert.emplace_back(uuid.str(), codec::dump(gpu_json(gpu)));
    gpus_[uuid] = gpu;
  }
  std::erase_if(gpus_, [&](const auto& entry) {
    if (view.gpus.contains(entry.first)) return false;
    changes.remove.push_back(entry.first.str());
    return true;
  });
  apply(Topic::kGpus, std::move(changes));
}

// Both sides are sorted: one walk, whatever their number.
void TopicStore::update_jobs(const ClusterView& view, Update what) {
  Changes changes;
  Growth growth;
  auto old = jobs_.begin();
  ShownJobs shown(view);
  for (const auto& [id, job] : view.jobs) {
    if (!shown.next(*job)) continue;
    for (; old != jobs_.end() && old->first < id; old = jobs_.erase(old)) changes.remove.push_back(old->first.str());
    const bool known = old != jobs_.end() && old->first == id;
    const auto wait = view.wait_of(*job);
    // The flag UNREACHABLE comes from the node, so running jobs are looked at again with every full update.
    const bool may_differ = what == Update::kEverything && holds_gpus(job->state);
    if (!known || may_differ || old->second.job != job || !says_the_same(old->second.wait, wait)) {
      if (!known) old = jobs_.emplace_hint(old, id, SentJob{});
      old->second.job = job;
      old->second.wait = wait;
      if (auto text = text_to_send(old->second, view, what, growth)) changes.upsert.emplace_back(id.str(), std::move(*text));
    }
    ++old;
  }
  for (; old != jobs_.end(); old = jobs_.erase(old)) changes.remove.push_back(old->first.str());
  if (what == Update::kEverything) last_grown_ = growth.is_left ? growth.last : JobId();
  apply(Topic::kJobs, std::move(changes));
}

// Nothing when only its figures grew and its turn comes later.
std::optional<std::string> TopicStore::text_to_send(SentJob& sent, const ClusterView& view, Update what, Growth& growth) {
  const Job& job = *sent.job;
  nlohmann::json json = job_json(job, view);
  std::string text = codec::dump(json);
  for (const char* growing : {"energy_j", "carbon_g"}) json.erase(growing);
  std::string steady = codec::dump(json);
  if (holds_gpus(job.state) && sent.steady == steady) {
    if (what == Update::kChangesOfState) return std::nullopt;
    ++sent.updates_since_sent;
    if (sent.updates_since_sent < kUpdatesBetweenGrowth || job.id <= last_grown_) return std::nullopt;
    if (growth.bytes > kGrowthBytes) {
      growth.is_left = true;
      return std::nullopt;
    }
    growth.bytes += text.size();
    growth.last = job.id;
  }
  sent.steady = std::move(steady);
  sent.updates_since_sent = 0;
  return text;
}

void TopicStore::replace(Topic topic, std::map<std::string, std::string> items) {
  Changes changes;
  for (const auto& [id, text] : state(topic).items)
    if (!items.contains(id)) changes.remove.push_back(id);
  for (auto& [id, text] : items) changes.upsert.emplace_back(id, std::move(text));
  apply(topic, std::move(changes));
}

// Only what really differs, in messages of a bounded size.
void TopicStore::apply(Topic topic, Changes changes) {
  auto& items = state(topic).items;
  std::vector<std::string> upsert;
  std::size_t bytes = 0;
  for (const std::string& id : changes.remove) items.erase(id);
  for (auto& [id, text] : changes.upsert) {
    std::string& present = items[id];
    if (present == text) continue;
    if (bytes > 0 && bytes + text.size() > kPartBytes) {
      append(topic, upsert, changes.remove);
      changes.remove.clear();
      upsert.clear();
      bytes = 0;
    }
    bytes += text.size();
    present = text;
    upsert.push_back(std::move(text));
  }
  if (!upsert.empty() || !changes.remove.empty()) append(topic, upsert, changes.remove);
}

void TopicStore::append(Topic topic, const std::vector<std::string>& upsert, const std::vector<std::string>& remove) {
  State& present = state(topic);
  const std::uint64_t seq = ++seq_;
  std::string text = fmt::format(R"({{"type":"delta","topic":"{}","prev":{},"seq":{},"upsert":[{}],"remove":{}}})",
                                 to_string(topic), present.seq, seq, join(upsert), codec::dump(nlohmann::json(remove)));
  present.recent_bytes += text.size();
  present.recent.push_back({present.seq, seq, std::make_shared<const std::string>(std::move(text))});
  present.seq = seq;
  present.snapshot.reset();
  while (present.recent.size() > kRecentDeltas || (present.recent_bytes > kRecentBytes && present.recent.size() > 1)) {
    present.recent_bytes -= present.recent.front().text->size();
    present.recent.pop_front();
  }
}

const Delta* TopicStore::after(Topic topic, std::uint64_t held) const {
  const auto& recent = state(topic).recent;
  const auto found = std::lower_bound(recent.begin(), recent.end(), held,
                                      [](const Delta& delta, std::uint64_t seq) { return delta.prev < seq; });
  return found == recent.end() || found->prev != held ? nullptr : &*found;
}

bool TopicStore::reaches(Topic topic, std::uint64_t held) const {
  return held == state(topic).seq || after(topic, held) != nullptr;
}

std::size_t TopicStore::behind(Topic topic, std::uint64_t held) const {
  const auto& recent = state(topic).recent;
  return static_cast<std::size_t>(
      std::count_if(recent.begin(), recent.end(), [&](const Delta& delta) { return delta.seq > held; }));
}

std::optional<std::uint64_t> TopicStore::held_at(Topic topic, std::uint64_t seq) const {
  const State& present = state(topic);
  if (seq > seq_) return std::nullopt;
  if (present.seq <= seq) return present.seq;
  for (const Delta& delta : present.recent)
    if (delta.seq > seq) return delta.prev <= seq ? std::optional(delta.prev) : std::nullopt;
  return std::nullopt;
}

std::shared_ptr<const Snapshot> TopicStore::snapshot(Topic topic) {
  State& present = state(topic);
  if (present.snapshot) return present.snapshot;
  std::vector<std::vector<std::string>> parts(1);
  std::size_t bytes = 0;
  for (const auto& [id, item] : present.items) {
    const std::string text = topic == Topic::kFleet ? codec::dump(fleet_json(*fleet_view_, fleet_time_, true)) : item;
    if (bytes > 0 && bytes + text.size() > kPartBytes) {
      parts.emplace_back();
      bytes = 0;
    }
    bytes += text.size();
    parts.back().push_back(text);
  }
  auto out = std::make_shared<Snapshot>();
  out->seq = present.seq;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::string numbered = parts.size() == 1 ? "" : fmt::format(R"("part":{},"of":{},)", i + 1, parts.size());
    if (topic == Topic::kGpuStates) numbered += fmt::format(R"("inventory":{},)", columns_.inventory());
    out->parts.push_back(
        std::make_shared<const std::string>(fmt::format(R"({{"type":"snapshot","topic":"{}","seq":{},{}"items":[{}]}})",
                                                        to_string(topic), present.seq, numbered, join(parts[i]))));
  }
  present.snapshot = out;
  return out;
}

}  // namespace aether::api
