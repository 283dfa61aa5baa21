#pragma once
// What travels between orchestrator and agent. Every command carries (job, attempt, epoch) and is idempotent; every
// acknowledgement comes from the application; a message may be lost, doubled, late or forged.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/job.h"
#include "model/node.h"

namespace aether {

inline constexpr int kProtocolVersion = 1;

// A moment on one machine's own boot clock (CLOCK_BOOTTIME); means nothing after a reboot.
struct BootTime {
  std::string boot_id;
  std::int64_t boot_ms = 0;
  friend bool operator==(const BootTime&, const BootTime&) = default;
};

// ---- orchestrator -> agent, on aether.commands.<node> ----

struct StartCommand {
  AttemptId attempt;
  Epoch epoch = 0;
  std::int64_t job_number = 0;
  std::string user;
  JobSpec spec;
  std::vector<GpuUuid> gpu_uuids;
  std::optional<BootTime> not_after = {};  // of the node; later, or on another boot, it is refused ("EXPIRED")
  std::vector<int> gpu_slots = {};         // one per GPU: 0 all of it, from 1 a shared part; empty = all of each
  friend bool operator==(const StartCommand&, const StartCommand&) = default;
};
struct StopCommand {
  AttemptId attempt;
  Epoch epoch = 0;
  std::string reason;            // an ExitCause name: "user_cancel"
  std::int64_t grace_s = 30;
  friend bool operator==(const StopCommand&, const StopCommand&) = default;
};
// Every process of the attempt stands still, and goes on. Acknowledged by a report of SUSPENDED or RUNNING.
struct SuspendCommand {
  AttemptId attempt;
  Epoch epoch = 0;
  friend bool operator==(const SuspendCommand&, const SuspendCommand&) = default;
};
struct ResumeCommand {
  AttemptId attempt;
  Epoch epoch = 0;
  friend bool operator==(const ResumeCommand&, const ResumeCommand&) = default;
};
// To every process of the attempt. Sent once: the one command without an acknowledgement.
struct SignalCommand {
  AttemptId attempt;
  Epoch epoch = 0;
  int signal = 0;
  friend bool operator==(const SignalCommand&, const SignalCommand&) = default;
};
// The result of this attempt is durable at the orchestrator: the agent may forget it.
struct ResultAckCommand {
  AttemptId attempt;
  Epoch epoch = 0;
  friend bool operator==(const ResultAckCommand&, const ResultAckCommand&) = default;
};
// Renews the node's lease, counted from when that heartbeat was sent; not with `send_inventory`.
struct HeartbeatAckCommand {
  std::uint64_t heartbeat_seq = 0;
  bool send_inventory = false;   // the orchestrator does not know this incarnation yet
  friend bool operator==(const HeartbeatAckCommand&, const HeartbeatAckCommand&) = default;
};
struct ReadLogCommand {
  std::uint64_t request_id = 0;
  AttemptId attempt;
  std::string stream;            // "stdout" or "stderr"
  std::int64_t offset = 0;       // bytes from the start of the stream; negative counts from the end
  std::int64_t limit = 0;        // at most this many bytes
  friend bool operator==(const ReadLogCommand&, const ReadLogCommand&) = default;
};

struct Command {
  NodeId node;
  std::string agent_incarnation;  // empty = any
  std::variant<StartCommand, StopCommand, ResultAckCommand, HeartbeatAckCommand, ReadLogCommand, SuspendCommand,
               ResumeCommand, SignalCommand> body;
  std::uint64_t leader_epoch = 0;  // grows with every orchestrator; an agent obeys none lower than it has seen
  friend bool operator==(const Command&, const Command&) = default;
};

// ---- agent -> orchestrator, on aether.events.<node> ----

struct HelloEvent {
  NodeInventory inventory;
  BootTime sent_at = {};                 // empty boot id: not known
  friend bool operator==(const HelloEvent&, const HelloEvent&) = default;
};
// State of one attempt as the agent knows it durably. Also sent unasked when it changes.
struct AttemptReport {
  AttemptId attempt;
  Epoch epoch = 0;
  JobState state = JobState::kStarting;  // STARTING, RUNNING, STOPPING, COMPLETING or a terminal one
  std::optional<Time> started_at;        // when execve succeeded
  std::optional<Time> ended_at;
  std::optional<ExitStatus> exit;        // with a terminal state
  friend bool operator==(const AttemptReport&, const AttemptReport&) = default;
};
struct HeartbeatEvent {
  std::uint64_t heartbeat_seq = 0;
  std::uint64_t inventory_seq = 0;       // of the newest inventory: who has an older one asks for it
  std::vector<AttemptReport> attempts;   // all parts together: all the agent has not been told to forget
  BootTime sent_at = {};                 // empty boot id: not known
  int part = 1, parts = 1;               // of the heartbeat with this number
  // The highest leader epoch that this node has obeyed; told only once nobody with that epoch or a higher one has
  // answered for a whole lease. The orchestrator of a new database then takes a higher one; 0: nothing to tell.
  std::uint64_t obeyed_epoch = 0;
  friend bool operator==(const HeartbeatEvent&, const HeartbeatEvent&) = default;
};
// The answer to a StartCommand that was not taken. Taking it is an AttemptReport with STARTING.
struct RefusedEvent {
  AttemptId attempt;
  Epoch epoch = 0;
  std::string code;      // final: "STALE_EPOCH", "CANCELLED", "EXPIRED", "WRONG_TARGET"; only for now: "GPU_UNAVAILABLE",
                         // "JOURNAL_READ_ONLY", "LEASE_EXPIRED", "STALE_LEADER"
  std::string message;
  friend bool operator==(const RefusedEvent&, const RefusedEvent&) = default;
};
// The node has measured that a GPU can't be given to a job: what an ended attempt left on it is still there ("leak"), or
// processes outlive SIGKILL ("unkillable"); or the GPU itself is sick: an XID, a memory error, a call that hangs. Said
// again for a while, with the same words: one of them may be lost.
struct GpuFaultEvent {
  GpuUuid gpu_uuid;
  std::string fault;     // "leak", "unkillable", "xid", "memory", "hung", "recovery_action"
  std::string message;   // the evidence, for people
  friend bool operator==(const GpuFaultEvent&, const GpuFaultEvent&) = default;
};
// What the node said of this GPU holds no longer by the rules for that fault: a quarantine for it ends, no other.
struct GpuRecoveredEvent {
  GpuUuid gpu_uuid;
  std::string fault;     // as in the GpuFaultEvent
  std::string message;
  friend bool operator==(const GpuRecoveredEvent&, const GpuRecoveredEvent&) = default;
};
struct LogChunk {
  std::int64_t offset = 0;       // of the first byte in `data`
  std::string data;              // any bytes
  std::int64_t size = 0;         // bytes captured so far
  bool complete = false;         // the attempt has ended and `data` reaches its end
  friend bool operator==(const LogChunk&, const LogChunk&) = default;
};
struct LogEvent {
  std::uint64_t request_id = 0;
  std::optional<LogChunk> chunk;  // absent: `error` says why
  std::string error;
  friend bool operator==(const LogEvent&, const LogEvent&) = default;
};

struct AgentEvent {
  NodeId node;
  std::string agent_incarnation;
  std::variant<HelloEvent, HeartbeatEvent, AttemptReport, RefusedEvent, LogEvent, GpuFaultEvent,
               GpuRecoveredEvent> body;
  friend bool operator==(const AgentEvent&, const AgentEvent&) = default;
};

}  // namespace aether
