#pragma once
// Who is there, and since when not: the orchestrator's side of the leases, counted on its own boot clock from the receipt
// of each heartbeat that it acknowledges. Pure; one owner thread.
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "model/lease.h"
#include "model/message.h"

namespace aether {

class NodeLeases {
 public:
  explicit NodeLeases(LeaseOptions options = {}) : options_(options) {}

  enum class Admission {
    kSame,       // the agent that is known already
    kNew,        // a node that was not known
    kRestarted,  // another agent, the same boot
    kRebooted,   // the machine has been started again
    kRefused,    // a node of this name is alive elsewhere, or this agent was replaced by one that lives: no answer
  };
  // `sent_at`: the node's boot clock when it sent this.
  Admission admit(const NodeInventory& inventory, Mono now, const BootTime& sent_at = {});

  struct Heard {
    Admission sender = Admission::kNew;  // kSame: counted; kNew: it has to introduce itself; kRefused
    bool whole = false;                  // with this message its heartbeat is complete: acknowledge it
    std::set<AttemptId> listed;          // of the whole heartbeat
  };
  Heard hear(const NodeId& node, const std::string& incarnation, const HeartbeatEvent& heartbeat, Mono now);

  // A node that held attempts when this orchestrator started: as if heard just now, since nobody knows when it was.
  void expect(const NodeId& node, Mono now);
  void forget(const NodeId& node) { nodes_.erase(node); }
  // What another one has heard, of the same process.
  void inherit(const NodeLeases& before) { nodes_ = before.nodes_; }

  // Since the last whole heartbeat; nothing for a node that was never here.
  std::optional<Duration> silence(const NodeId& node, Mono now) const;
  bool is_silent(const NodeId& node, Mono now) const;
  // Most of the fleet went silent at once: more likely it is this side that is cut off.
  bool mass_loss(Mono now) const;
  // Two live agents called themselves by this name within the last minute.
  bool has_rival(const NodeId& node, Mono now) const;

  // The node's own clock as its last whole heartbeat had it, or its introduction.
  std::optional<BootTime> clock(const NodeId& node) const;
  // For a start that is made now: the last moment at which the node may take it. Nothing while its clock is not known.
  std::optional<BootTime> start_limit(const NodeId& node) const;
  const std::string& boot_id(const NodeId& node) const;
  const std::string& incarnation(const NodeId& node) const;

  const LeaseOptions& options() const { return options_; }

 private:
  struct Node {
    std::string incarnation, boot_id;
    std::optional<BootTime> clock;
    Mono heard;
    std::uint64_t seq = 0;                       // of the last whole heartbeat
    std::uint64_t open_seq = 0;                  // of the one whose parts are being collected
    std::set<int> open_parts;
    std::set<AttemptId> open_listed;
    std::optional<Mono> other_seen;              // an agent that was refused
    std::optional<Mono> rival_at;
    std::deque<std::pair<std::string, std::uint64_t>> replaced;  // earlier agents and their last heartbeat, newest first
    std::string returning;                       // one of them whose heartbeats go on while the present one is quiet
  };
  // Sent before what was heard of this boot last, by the machine's own clock, which only goes forward.
  static bool is_old(const Node& node, const BootTime& sent_at) {
    return node.clock && !sent_at.boot_id.empty() && node.clock->boot_id == sent_at.boot_id && sent_at.boot_ms < node.clock->boot_ms;
  }
  bool is_quiet(const Node& node, Mono now) const { return now - node.heard >= options_.incumbent; }

  const LeaseOptions options_;
  std::map<NodeId, Node> nodes_;
};

}  // namespace aether
