// Envelopes of the bus: {"v":1,"node":"n1","incarnation":"...","kind":"start", ...the fields of the kind...}.
#include <algorithm>

#include <fmt/format.h>

#include "codec/codec.h"
#include "codec/records.h"

namespace aether::codec {
namespace {

constexpr int kMaxHeartbeatParts = 1000;

// ---- bodies, written ----

struct WriteBody {
  Json& json;

  void operator()(const StartCommand& command) {
    put(json, "kind", "start");
    put_attempt(json, command.attempt);
    put(json, "epoch", command.epoch);
    put(json, "job_number", command.job_number);
    put(json, "user", command.user);
    json["spec"] = encode_job_spec(command.spec);
    json["gpu_uuids"] = id_list(command.gpu_uuids);
    if (command.not_after) json["not_after"] = encode_boot_time(*command.not_after);
    if (!command.gpu_slots.empty()) json["gpu_slots"] = command.gpu_slots;
  }
  void operator()(const StopCommand& command) {
    put(json, "kind", "stop");
    put_attempt(json, command.attempt);
    put(json, "epoch", command.epoch);
    put(json, "reason", command.reason);
    put(json, "grace_s", command.grace_s);
  }
  void operator()(const ResultAckCommand& command) {
    put(json, "kind", "result_ack");
    put_attempt(json, command.attempt);
    put(json, "epoch", command.epoch);
  }
  void operator()(const HeartbeatAckCommand& command) {
    put(json, "kind", "heartbeat_ack");
    put(json, "heartbeat_seq", command.heartbeat_seq);
    put(json, "send_inventory", command.send_inventory);
  }
  void operator()(const ReadLogCommand& command) {
    put(json, "kind", "read_log");
    put(json, "request_id", command.request_id);
    put_attempt(json, command.attempt);
    put(json, "stream", command.stream);
    put(json, "offset", command.offset);
    put(json, "limit", command.limit);
  }

  void operator()(const SuspendCommand& command) { put_order("suspend", command.attempt, command.epoch); }
  void operator()(const ResumeCommand& command) { put_order("resume", command.attempt, command.epoch); }
  void operator()(const SignalCommand& command) {
    put_order("signal", command.attempt, command.epoch);
    put(json, "signal", command.signal);
  }
  void put_order(const char* kind, const AttemptId& attempt, Epoch epoch) {
    put(json, "kind", kind);
    put_attempt(json, attempt);
    put(json, "epoch", epoch);
  }

  void operator()(const HelloEvent& event) {
    put(json, "kind", "hello");
    json["inventory"] = encode_inventory(event.inventory);
    if (!event.sent_at.boot_id.empty()) json["sent_at"] = encode_boot_time(event.sent_at);
  }
  void operator()(const HeartbeatEvent& event) {
    put(json, "kind", "heartbeat");
    put(json, "heartbeat_seq", event.heartbeat_seq);
    put(json, "inventory_seq", event.inventory_seq);
    json["attempts"] = list_of(event.attempts, encode_report);
    if (!event.sent_at.boot_id.empty()) json["sent_at"] = encode_boot_time(event.sent_at);
    if (event.parts > 1) {
      put(json, "part", event.part);
      put(json, "parts", event.parts);
    }
    if (event.obeyed_epoch > 0) put(json, "obeyed_epoch", event.obeyed_epoch);
  }
  void operator()(const AttemptReport& report) {
    json.update(encode_report(report));
    put(json, "kind", "report");
  }
  void operator()(const GpuFaultEvent& event) {
    put(json, "kind", "gpu_fault");
    put(json, "gpu_uuid", event.gpu_uuid.str());
    put(json, "fault", event.fault);
    put(json, "message", event.message);
  }
  void operator()(const GpuRecoveredEvent& event) {
    put(json, "kind", "gpu_recovered");
    put(json, "gpu_uuid", event.gpu_uuid.str());
    put(json, "fault", event.fault);
    put(json, "message", event.message);
  }
  void operator()(const RefusedEvent& event) {
    put(json, "kind", "refused");
    put_attempt(json, event.attempt);
    put(json, "epoch", event.epoch);
    put(json, "code", event.code);
    put(json, "message", event.message);
  }
  void operator()(const LogEvent& event) {
    put(json, "kind", "log");
    put(json, "request_id", event.request_id);
    if (event.chunk) json["chunk"] = encode_chunk(*event.chunk);
    put(json, "error", event.error);
  }

  static Json encode_boot_time(const BootTime& time) {
    Json out = Json::object();
    put(out, "boot_id", time.boot_id);
    put(out, "boot_ms", time.boot_ms);
    return out;
  }
  static Json encode_report(const AttemptReport& report) {
    Json out = Json::object();
    put_attempt(out, report.attempt);
    put(out, "epoch", report.epoch);
    put(out, "state", to_string(report.state));
    put(out, "started_at_us", report.started_at);
    put(out, "ended_at_us", report.ended_at);
    if (report.exit) out["exit"] = encode_exit(*report.exit);
    return out;
  }
  static Json encode_chunk(const LogChunk& chunk) {
    Json out = Json::object();
    put(out, "offset", chunk.offset);
    put(out, "data_b64", base64_encode(chunk.data));
    put(out, "size", chunk.size);
    put(out, "complete", chunk.complete);
    return out;
  }
};

// ---- bodies, read ----

void read_boot_time(Fields& in, BootTime& time) {
  in.need("boot_id", time.boot_id);
  in.need("boot_ms", time.boot_ms);
}

void read_start(Fields& in, StartCommand& command) {
  need_attempt(in, command.attempt);
  in.need("epoch", command.epoch);
  in.read("job_number", command.job_number);
  in.read("user", command.user);
  in.require("spec");
  in.read_object("spec", command.spec, read_spec_fields);
  in.read("gpu_uuids", command.gpu_uuids);
  in.read_object("not_after", command.not_after, read_boot_time);
  in.read("gpu_slots", command.gpu_slots);
  if (in.failed() || command.gpu_slots.empty()) return;
  if (command.gpu_slots.size() != command.gpu_uuids.size()) in.report("gpu_slots", "not one for each GPU");
  if (std::any_of(command.gpu_slots.begin(), command.gpu_slots.end(), [](int slot) { return slot < 0; }))
    in.report("gpu_slots", "negative");
}

void read_stop(Fields& in, StopCommand& command) {
  need_attempt(in, command.attempt);
  in.need("epoch", command.epoch);
  in.read("reason", command.reason);
  in.read("grace_s", command.grace_s);
  if (!in.failed() && command.grace_s < 0) in.report("grace_s", "negative");
}

void read_result_ack(Fields& in, ResultAckCommand& command) {
  need_attempt(in, command.attempt);
  in.need("epoch", command.epoch);
}

void read_heartbeat_ack(Fields& in, HeartbeatAckCommand& command) {
  in.need("heartbeat_seq", command.heartbeat_seq);
  in.read("send_inventory", command.send_inventory);
}

void read_read_log(Fields& in, ReadLogCommand& command) {
  in.need("request_id", command.request_id);
  need_attempt(in, command.attempt);
  in.need("stream", command.stream);
  in.read("offset", command.offset);
  in.read("limit", command.limit);
  if (in.failed()) return;
  // The name becomes part of a path at the agent.
  if (command.stream != "stdout" && command.stream != "stderr") in.report("stream", "neither stdout nor stderr");
  if (command.limit < 0) in.report("limit", "negative");
}

template <class Order>
void read_order(Fields& in, Order& command) {
  need_attempt(in, command.attempt);
  in.need("epoch", command.epoch);
}

void read_signal(Fields& in, SignalCommand& command) {
  read_order(in, command);
  in.need("signal", command.signal);
  if (!in.failed() && (command.signal < 1 || command.signal > 64)) in.report("signal", "no signal's number");
}

void read_hello(Fields& in, HelloEvent& event) {
  in.require("inventory");
  in.read_object("inventory", event.inventory, read_inventory);
  in.read_object("sent_at", event.sent_at, read_boot_time);
}

void read_report(Fields& in, AttemptReport& report) {
  need_attempt(in, report.attempt);
  in.need("epoch", report.epoch);
  in.require("state");
  in.read_word("state", report.state, parse_job_state);
  in.read("started_at_us", report.started_at);
  in.read("ended_at_us", report.ended_at);
  in.read_object("exit", report.exit, read_exit);
}

void read_heartbeat(Fields& in, HeartbeatEvent& event) {
  in.need("heartbeat_seq", event.heartbeat_seq);
  in.read("inventory_seq", event.inventory_seq);
  in.read_objects("attempts", event.attempts, read_report);
  in.read_object("sent_at", event.sent_at, read_boot_time);
  in.read("part", event.part);
  in.read("parts", event.parts);
  in.read("obeyed_epoch", event.obeyed_epoch);
  if (in.failed()) return;
  if (event.parts < 1 || event.parts > kMaxHeartbeatParts) in.report("parts", "out of range");
  if (event.part < 1 || event.part > event.parts) in.report("part", "out of range");
}

// A fault and its end say the same three things.
template <class Event>
void read_gpu_fault(Fields& in, Event& event) {
  in.need("gpu_uuid", event.gpu_uuid);
  in.need("fault", event.fault);
  in.read("message", event.message);
}

void read_refused(Fields& in, RefusedEvent& event) {
  need_attempt(in, event.attempt);
  in.need("epoch", event.epoch);
  in.need("code", event.code);
  in.read("message", event.message);
}

void read_chunk(Fields& in, LogChunk& chunk) {
  std::string data_b64;
  in.need("offset", chunk.offset);
  in.read("data_b64", data_b64);
  in.read("size", chunk.size);
  in.read("complete", chunk.complete);
  if (in.failed()) return;
  if (chunk.offset < 0) in.report("offset", "negative");
  if (chunk.size < 0) in.report("size", "negative");
  if (Result<std::string> data = base64_decode(data_b64))
    chunk.data = std::move(*data);
  else
    in.report("data_b64", data.error().message);
}

void read_log_event(Fields& in, LogEvent& event) {
  in.need("request_id", event.request_id);
  in.read_object("chunk", event.chunk, read_chunk);
  in.read("error", event.error);
}

// ---- envelopes ----

template <class Message>
using BodyReader = void (*)(Fields&, Message&);

template <class Message, class Body, void (*ReadFields)(Fields&, Body&)>
void read_body(Fields& in, Message& message) {
  ReadFields(in, message.body.template emplace<Body>());
}

BodyReader<Command> command_reader(std::string_view kind) {
  if (kind == "start") return read_body<Command, StartCommand, read_start>;
  if (kind == "stop") return read_body<Command, StopCommand, read_stop>;
  if (kind == "result_ack") return read_body<Command, ResultAckCommand, read_result_ack>;
  if (kind == "heartbeat_ack") return read_body<Command, HeartbeatAckCommand, read_heartbeat_ack>;
  if (kind == "suspend") return read_body<Command, SuspendCommand, read_order<SuspendCommand>>;
  if (kind == "resume") return read_body<Command, ResumeCommand, read_order<ResumeCommand>>;
  if (kind == "signal") return read_body<Command, SignalCommand, read_signal>;
  if (kind == "read_log") return read_body<Command, ReadLogCommand, read_read_log>;
  return nullptr;
}

BodyReader<AgentEvent> event_reader(std::string_view kind) {
  if (kind == "hello") return read_body<AgentEvent, HelloEvent, read_hello>;
  if (kind == "heartbeat") return read_body<AgentEvent, HeartbeatEvent, read_heartbeat>;
  if (kind == "report") return read_body<AgentEvent, AttemptReport, read_report>;
  if (kind == "refused") return read_body<AgentEvent, RefusedEvent, read_refused>;
  if (kind == "log") return read_body<AgentEvent, LogEvent, read_log_event>;
  if (kind == "gpu_fault") return read_body<AgentEvent, GpuFaultEvent, read_gpu_fault<GpuFaultEvent>>;
  if (kind == "gpu_recovered") return read_body<AgentEvent, GpuRecoveredEvent, read_gpu_fault<GpuRecoveredEvent>>;
  return nullptr;
}

template <class Message>
std::string encode_envelope(const Message& message) {
  Json json = Json::object();
  std::visit(WriteBody{json}, message.body);
  put(json, "v", kProtocolVersion);
  put(json, "node", message.node);
  put(json, "incarnation", message.agent_incarnation);
  if constexpr (std::is_same_v<Message, Command>)
    if (message.leader_epoch > 0) put(json, "leader_epoch", message.leader_epoch);
  return dump(json);
}

template <class Message>
Result<Message> decode_envelope(std::string_view text, BodyReader<Message> (*find_reader)(std::string_view)) {
  const Result<Json> json = parse(text);
  if (!json) return fail(json.error());
  std::optional<Error> error;
  Fields in(*json, "", error);
  int version = 0;
  in.need("v", version);
  if (!error && version != kProtocolVersion)
    return fail(ErrorCode::kUnsupported,
                fmt::format("protocol version {}; this program speaks {}", version, kProtocolVersion), "/v");
  Message message;
  std::string kind;
  need_node(in, "node", message.node);
  in.read("incarnation", message.agent_incarnation);
  if constexpr (std::is_same_v<Message, Command>) in.read("leader_epoch", message.leader_epoch);
  in.need("kind", kind);
  if (error) return fail(std::move(*error));
  const BodyReader<Message> read_fields = find_reader(kind);
  if (read_fields == nullptr)
    return fail(ErrorCode::kUnsupported, fmt::format("/kind: {} is not known here", shown(Json(kind))), "/kind");
  read_fields(in, message);
  if (error) return fail(std::move(*error));
  return message;
}

}  // namespace

std::string encode_command(const Command& command) { return encode_envelope(command); }
Result<Command> decode_command(std::string_view text) { return decode_envelope<Command>(text, command_reader); }
std::string encode_event(const AgentEvent& event) { return encode_envelope(event); }
Result<AgentEvent> decode_event(std::string_view text) { return decode_envelope<AgentEvent>(text, event_reader); }

}  // namespace aether::codec
