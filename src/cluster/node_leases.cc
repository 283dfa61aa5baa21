#include "cluster/node_leases.h"

#include <algorithm>
#include <vector>

namespace aether {
namespace {
constexpr std::size_t kReplacedKept = 16;
constexpr std::uint64_t kStragglers = 3;             // heartbeats of a replaced agent that may still be on their way
constexpr Duration kRivalShown = std::chrono::minutes(1);
constexpr std::size_t kMassLossNodes = 3;
constexpr std::size_t kMassLossPercent = 55;
}  // namespace

NodeLeases::Admission NodeLeases::admit(const NodeInventory& inventory, Mono now, const BootTime& sent_at) {
  const auto found = nodes_.find(inventory.node);
  const bool known = found != nodes_.end() && !found->second.incarnation.empty();
  if (known && found->second.incarnation == inventory.agent_incarnation) return Admission::kSame;
  if (known) {
    Node& node = found->second;
    if (is_old(node, sent_at)) return Admission::kRefused;  // out of some buffer: its agent is gone
    const auto is_it = [&](const auto& entry) { return entry.first == inventory.agent_incarnation; };
    const bool was_replaced = std::any_of(node.replaced.begin(), node.replaced.end(), is_it);
    if (was_replaced && !(node.returning == inventory.agent_incarnation && is_quiet(node, now))) return Admission::kRefused;
    const bool elsewhere = !node.boot_id.empty() && node.boot_id != inventory.boot_id;
    if (elsewhere && !is_quiet(node, now)) {
      node.other_seen = now;
      return Admission::kRefused;
    }
  }
  Node next;
  next.incarnation = inventory.agent_incarnation;
  next.boot_id = inventory.boot_id;
  next.heard = now;
  if (!sent_at.boot_id.empty()) next.clock = sent_at;
  Admission admission = Admission::kNew;
  if (known) {
    Node& node = found->second;
    admission = node.boot_id == inventory.boot_id ? Admission::kRestarted : Admission::kRebooted;
    next.replaced = std::move(node.replaced);
    std::erase_if(next.replaced, [&](const auto& entry) { return entry.first == inventory.agent_incarnation; });
    next.replaced.emplace_front(node.incarnation, node.seq);
    if (next.replaced.size() > kReplacedKept) next.replaced.pop_back();
    next.rival_at = node.rival_at;
  }
  nodes_[inventory.node] = std::move(next);
  return admission;
}

NodeLeases::Heard NodeLeases::hear(const NodeId& id, const std::string& incarnation, const HeartbeatEvent& heartbeat,
                                   Mono now) {
  Heard out;
  const auto found = nodes_.find(id);
  if (found == nodes_.end()) return out;
  Node& node = found->second;
  if (node.incarnation != incarnation) {
    for (auto& [earlier, seq] : node.replaced)
      if (earlier == incarnation) {
        out.sender = Admission::kRefused;
        if (heartbeat.heartbeat_seq <= seq + kStragglers || is_old(node, heartbeat.sent_at)) continue;
        if (is_quiet(node, now)) {  // what replaced it was an old message of an agent that is gone
          node.returning = incarnation;
          out.sender = Admission::kNew;
        } else {
          node.rival_at = now;
        }
      }
    return out;
  }
  out.sender = Admission::kSame;
  if (node.other_seen) {  // the one that was refused came while this one lived on
    node.rival_at = node.other_seen;
    node.other_seen.reset();
  }
  if (heartbeat.heartbeat_seq <= node.seq) return out;  // late or doubled: its news is older than what is known
  if (heartbeat.heartbeat_seq < node.open_seq) return out;
  if (heartbeat.heartbeat_seq > node.open_seq) {
    node.open_seq = heartbeat.heartbeat_seq;
    node.open_parts.clear();
    node.open_listed.clear();
  }
  node.open_parts.insert(heartbeat.part);
  for (const AttemptReport& report : heartbeat.attempts) node.open_listed.insert(report.attempt);
  if (node.open_parts.size() < static_cast<std::size_t>(heartbeat.parts)) return out;
  out.whole = true;
  out.listed = std::move(node.open_listed);
  node.open_listed.clear();
  node.seq = heartbeat.heartbeat_seq;
  node.heard = now;
  if (!heartbeat.sent_at.boot_id.empty()) node.clock = heartbeat.sent_at;
  return out;
}

void NodeLeases::expect(const NodeId& node, Mono now) {
  if (const auto [entry, is_new] = nodes_.try_emplace(node); is_new) entry->second.heard = now;
}

std::optional<Duration> NodeLeases::silence(const NodeId& node, Mono now) const {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return std::nullopt;
  return now - found->second.heard;
}

bool NodeLeases::is_silent(const NodeId& node, Mono now) const {
  const auto found = nodes_.find(node);
  return found != nodes_.end() && now - found->second.heard > options_.lease;
}

// At once: their last heartbeats lie within one lease of each other.
bool NodeLeases::mass_loss(Mono now) const {
  if (nodes_.size() < kMassLossNodes) return false;
  std::vector<Mono> last;
  for (const auto& [id, node] : nodes_)
    if (now - node.heard > options_.lease) last.push_back(node.heard);
  std::sort(last.begin(), last.end());
  std::size_t begin = 0, most = 0;
  for (std::size_t end = 0; end < last.size(); ++end) {
    while (last[end] - last[begin] > options_.lease) ++begin;
    most = std::max(most, end - begin + 1);
  }
  return most * 100 >= kMassLossPercent * nodes_.size();
}

bool NodeLeases::has_rival(const NodeId& node, Mono now) const {
  const auto found = nodes_.find(node);
  return found != nodes_.end() && found->second.rival_at && now - *found->second.rival_at < kRivalShown;
}

std::optional<BootTime> NodeLeases::clock(const NodeId& node) const {
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? std::nullopt : found->second.clock;
}

std::optional<BootTime> NodeLeases::start_limit(const NodeId& node) const {
  auto limit = clock(node);
  if (limit) limit->boot_ms += std::chrono::duration_cast<std::chrono::milliseconds>(options_.start_ttl).count();
  return limit;
}

const std::string& NodeLeases::boot_id(const NodeId& node) const {
  static const std::string kNone;
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? kNone : found->second.boot_id;
}

const std::string& NodeLeases::incarnation(const NodeId& node) const {
  static const std::string kNone;
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? kNone : found->second.incarnation;
}

}  // namespace aether
