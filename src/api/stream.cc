// The hub's thread: time, messages, and how far each client is. Logs are in stream_logs.cc.
#include "api/stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/names.h"
#include "base/secret.h"
#include "codec/codec.h"

namespace aether::api {
namespace {

constexpr std::size_t kMostTextBytes = 8192;  // hello and subscriptions are short
constexpr std::size_t kMostClientTopics = 16;
constexpr std::size_t kMostBehind = 10;  // changes a slow client is still given one by one
constexpr int kRetryAfterMs = 1000;
constexpr std::size_t kMostQueuedBeforeReadings = 4;  // more: this tick's readings are left out, the next are newer
constexpr double kLeastRateHz = 0.05, kMostRateHz = 1.0;

std::vector<std::string> texts_of(const nlohmann::json& message, const char* key) {
  std::vector<std::string> out;
  const auto found = message.find(key);
  if (found == message.end() || !found->is_array()) return out;
  for (const auto& item : *found)
    if (item.is_string() && out.size() < kMostClientTopics) out.push_back(item.get<std::string>());
  return out;
}

std::string text_of(const nlohmann::json& message, const char* key) {
  const auto found = message.find(key);
  return found != message.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// "job.<id>.log" -> "<id>"
std::optional<std::string> job_of_log_topic(const std::string& topic) {
  constexpr std::string_view kStart = "job.", kEnd = ".log";
  if (!topic.starts_with(kStart) || !topic.ends_with(kEnd) || topic.size() <= kStart.size() + kEnd.size())
    return std::nullopt;
  return topic.substr(kStart.size(), topic.size() - kStart.size() - kEnd.size());
}

}  // namespace

StreamHub::StreamHub(Control& control, const Clock& clock, EventLog& events, StreamOptions options)
    : control_(control),
      clock_(clock),
      events_(events),
      options_(std::move(options)),
      stream_id_(random_hex(8)),
      epoch_(static_cast<std::uint32_t>(std::stoul(stream_id_.substr(0, 8), nullptr, 16)) | 1),
      topics_(epoch_) {}
StreamHub::~StreamHub() { stop(); }

http::SocketHandlers StreamHub::handlers() {
  http::SocketHandlers out;
  out.on_open = [inbox = inbox_](SocketPtr socket, const http::Request&) {
    if (!inbox->events.push(Opened{socket})) socket->close(1013, "too busy");
  };
  out.on_message = [inbox = inbox_](const SocketPtr& socket, std::string text) {
    if (text.size() > kMostTextBytes) return socket->close(1009, "messages to this stream are short");
    if (!inbox->events.push(Received{socket, std::move(text)})) socket->close(1013, "too busy");
  };
  out.on_close = [inbox = inbox_](const SocketPtr& socket) {
    std::lock_guard lock(inbox->mutex);
    inbox->closed.push_back(socket);
  };
  return out;
}

void StreamHub::start() {
  thread_ = std::thread([this] { run(); });
}

void StreamHub::stop() {
  if (stopping_.exchange(true)) return;
  if (thread_.joinable()) thread_.join();
  for (auto& [key, client] : clients_) send(client, Json{{"type", "bye"}, {"retry_after_ms", kRetryAfterMs}});
  clients_.clear();
}

void StreamHub::run() {
  const auto pause = std::min(options_.change_interval, std::chrono::milliseconds(50));
  while (!stopping_) {
    for (Event& event : inbox_->events.drain(pause, 256)) handle(std::move(event));
    remove_closed();
    tick(std::chrono::steady_clock::now());
  }
}

void StreamHub::tick(Mono now) {
  const auto view = control_.view();
  const auto since_full = now - last_full_;
  // New readings go out as soon as the interval is nearly over, so that the stream falls into step with the agents.
  const bool is_full = since_full >= options_.interval ||
                       (view->version != full_version_ && since_full >= options_.interval * 4 / 5);
  if (is_full || now - last_changes_ >= options_.change_interval) {
    last_changes_ = now;
    if (is_full) last_full_ = now;
    if (is_full) full_version_ = view->version;
    const bool is_new = view->version != seen_version_;
    if (is_new) events_.observe(view);
    // Without clients nothing is encoded; the next client's hello catches up in one step.
    if (!clients_.empty() && (is_new || is_full))
      topics_.update(view, clock_.now(), is_full ? Update::kEverything : Update::kChangesOfState, wanted());
    seen_version_ = view->version;
  }
  for (auto& [key, client] : clients_) {
    catch_up(client);
    send_readings(client, now);
  }
  if (now - last_logs_ < options_.log_interval) return;
  last_logs_ = now;
  for (auto& [key, client] : clients_) poll_logs(client);
}

void StreamHub::handle(Event event) {
  if (auto* opened = std::get_if<Opened>(&event)) {
    clients_[opened->socket.get()].socket = opened->socket;
  } else if (auto* received = std::get_if<Received>(&event)) {
    const auto client = clients_.find(received->socket.get());
    if (client != clients_.end()) on_text(client->second, received->text);
  } else if (auto* answer = std::get_if<LogAnswer>(&event)) {
    const auto client = clients_.find(answer->socket.get());
    if (client != clients_.end()) on_log(client->second, *answer);
  }
}

void StreamHub::remove_closed() {
  std::vector<SocketPtr> closed;
  {
    std::lock_guard lock(inbox_->mutex);
    closed.swap(inbox_->closed);
  }
  for (auto it = closed.begin(); it != closed.end(); ++it) {
    // Its Opened may still lie in the queue: then it is looked at again after the next drain.
    if (clients_.erase(it->get()) == 0 && inbox_->events.size() > 0) {
      std::lock_guard lock(inbox_->mutex);
      inbox_->closed.push_back(*it);
    }
  }
}

void StreamHub::on_text(Client& client, const std::string& text) {
  const auto message = codec::parse(text);
  if (!message || !message->is_object()) return refuse(client, 400, "malformed_json", "a message is one JSON object");
  const std::string type = text_of(*message, "type");
  if (type == "hello" && !client.is_welcome) return on_hello(client, *message);
  if (!client.is_welcome) {
    refuse(client, 400, "hello_first", "the first message is hello");
    return client.socket->close(1002, "hello first");
  }
  if (type == "resync") return resync(client, text_of(*message, "topic"));
  if (type == "subscribe") {
    set_rate(client, *message);
    for (const std::string& topic : texts_of(*message, "topics")) subscribe(client, topic);
  } else if (type == "unsubscribe") {
    for (const std::string& name : texts_of(*message, "topics")) {
      if (const auto topic = parse_topic(name, client.has_columns)) client.topics.erase(*topic);
      client.logs.erase(name);
    }
  } else {
    refuse(client, 400, "unknown_message", fmt::format("there is no message '{}' here", type.substr(0, 64)));
  }
}

void StreamHub::on_hello(Client& client, const Json& message) {
  if (!message.contains("proto") || message["proto"] != 1) {
    refuse(client, 400, "unsupported_proto", "this server speaks proto 1");
    return client.socket->close(1002, "unsupported proto");
  }
  const auto encodings = texts_of(message, "encodings");
  client.has_columns = std::find(encodings.begin(), encodings.end(), "columns-v1") != encodings.end();
  set_rate(client, message);
  std::vector<Topic> wanted;
  TopicSet also;
  for (const std::string& name : texts_of(message, "topics"))
    if (const auto topic = parse_topic(name, client.has_columns)) {
      wanted.push_back(*topic);
      also.set(index_of(*topic));
    }
  bring_up_to_date(also);
  client.is_welcome = true;
  std::optional<std::uint64_t> resume;
  if (const auto it = message.find("resume");
      it != message.end() && it->is_object() && text_of(*it, "stream") == stream_id_)
    if (it->contains("seq") && (*it)["seq"].is_number_unsigned()) resume = (*it)["seq"].get<std::uint64_t>();
  const bool resumes = resume && std::all_of(wanted.begin(), wanted.end(),
                                             [&](Topic topic) { return topics_.held_at(topic, *resume).has_value(); });
  send(client, Json{{"type", "welcome"},
                    {"stream", stream_id_},
                    {"seq", topics_.seq()},
                    {"epoch", epoch_},
                    {"encoding", client.has_columns ? "columns-v1" : "json"},
                    {"interval_ms", options_.interval.count()},
                    {"server_time", format_rfc3339(clock_.now())},
                    {"version", options_.version},
                    {"limits", {{"messages", 256}, {"queue_bytes", 1 << 20}, {"inbound_bytes", kMostTextBytes}}},
                    {"resumed", resumes}});
  for (Topic topic : wanted) {
    ClientTopic& state = client.topics[topic];
    state.is_live = resumes;
    if (resumes) state.held = *topics_.held_at(topic, *resume);
  }
  for (const std::string& name : texts_of(message, "topics"))
    if (!parse_topic(name)) subscribe(client, name);
  catch_up(client);
}

void StreamHub::subscribe(Client& client, const std::string& name) {
  if (client.topics.size() + client.logs.size() >= kMostClientTopics)
    return refuse(client, 429, "too_many_topics", "a client follows at most 16 topics");
  if (const auto topic = parse_topic(name, client.has_columns)) {
    bring_up_to_date(TopicSet().set(index_of(*topic)));
    client.topics.try_emplace(*topic);
    return catch_up(client);
  }
  if (const auto job = job_of_log_topic(name)) return follow_log(client, name, *job);
  const std::vector<std::string> known = {"fleet", "nodes", "gpus", "jobs", "alerts"};
  const std::string near = nearest_name(name.substr(0, 64), known);
  refuse(client, 404, "unknown_topic",
         fmt::format("there is no topic '{}'{}", name.substr(0, 64), near.empty() ? "" : "; is '" + near + "' meant?"));
}

void StreamHub::refuse(Client& client, int status, const std::string& code, const std::string& detail) {
  send(client, Json{{"type", "error"}, {"status", status}, {"code", code}, {"title", code}, {"detail", detail}});
}

void StreamHub::resync(Client& client, const std::string& name) {
  const auto topic = parse_topic(name, client.has_columns);
  if (!topic || !client.topics.contains(*topic))
    return refuse(client, 404, "unknown_topic", "this client does not follow that topic");
  client.topics[*topic] = {};
  if (*topic == Topic::kGpuStates) client.held_readings = 0;
  catch_up(client);
}

// A page in the background asks for fewer readings; changes of state come as ever.
void StreamHub::set_rate(Client& client, const Json& message) {
  const auto found = message.find("rate_hz");
  if (found == message.end() || !found->is_number()) return;
  const double rate = std::clamp(found->get<double>(), kLeastRateHz, kMostRateHz);
  client.readings_every = std::chrono::milliseconds(rate >= kMostRateHz ? 0 : static_cast<int>(1000 / rate));
  client.readings_at = {};
}

TopicSet StreamHub::wanted() const {
  TopicSet out;
  for (const auto& [key, client] : clients_)
    for (const auto& [topic, unused] : client.topics) out.set(index_of(topic));
  return out;
}

// After a time without clients the topics lag behind the view.
void StreamHub::bring_up_to_date(TopicSet also) {
  const auto view = control_.view();
  topics_.update(view, clock_.now(), Update::kEverything, wanted() | also);
}

// The newest readings: a delta where the client holds the frame before, else all of them. A client that takes little
// gets fewer and newer ones, and nothing else waits for them.
void StreamHub::send_readings(Client& client, Mono now) {
  const auto topic = client.topics.find(Topic::kGpuStates);
  if (topic == client.topics.end() || !topic->second.is_live) return;
  const Columns& columns = topics_.columns();
  if (columns.seq() == 0 || client.held_readings == columns.seq() || now < client.readings_at) return;
  if (client.socket->queued() > kMostQueuedBeforeReadings) return;
  const bool same_slots = client.held_inventory == columns.inventory();
  const SharedText delta = same_slots ? columns.delta(client.held_readings) : nullptr;
  if (!client.socket->send_binary(delta ? delta : columns.full())) {
    client.is_slow = true;
    return;
  }
  client.held_readings = columns.seq();
  client.held_inventory = columns.inventory();
  client.readings_at = now + client.readings_every;
}

void StreamHub::start_over(Client& client, Topic topic, const char* reason) {
  ClientTopic& state = client.topics[topic];
  const Json gap = {{"type", "gap"},
                    {"topic", to_string(topic)},
                    {"from", state.held},
                    {"to", topics_.seq_of(topic)},
                    {"reason", reason}};
  state = {};
  state.gap = std::make_shared<const std::string>(codec::dump(gap));
}

bool StreamHub::send_snapshot(Client& client, Topic topic, ClientTopic& state) {
  if (state.gap && !send(client, state.gap)) return false;
  state.gap.reset();
  if (!state.snapshot) {
    state.snapshot = topics_.snapshot(topic);
    state.next_part = 0;
  }
  for (; state.next_part < state.snapshot->parts.size(); ++state.next_part)
    if (!send(client, state.snapshot->parts[state.next_part])) return false;
  state.held = state.snapshot->seq;
  state.snapshot.reset();
  state.is_live = true;
  return true;
}

// Everything in the stream's one order, as far as the client's queue takes it; the rest at the next tick.
void StreamHub::catch_up(Client& client) {
  if (!client.is_welcome) return;
  for (auto& [topic, state] : client.topics) {
    if (!state.is_live) continue;
    if (!topics_.reaches(topic, state.held))
      start_over(client, topic, client.is_slow ? "slow_client" : "history");
    else if (client.is_slow && topics_.behind(topic, state.held) > kMostBehind)
      start_over(client, topic, "slow_client");
  }
  for (auto& [topic, state] : client.topics)
    if (!state.is_live && !send_snapshot(client, topic, state)) return;
  for (;;) {
    const Delta* next = nullptr;
    ClientTopic* of = nullptr;
    for (auto& [topic, state] : client.topics) {
      const Delta* delta = topics_.after(topic, state.held);
      if (delta == nullptr || (next != nullptr && delta->seq > next->seq)) continue;
      next = delta;
      of = &state;
    }
    if (next == nullptr) break;
    if (!send(client, next->text)) return;
    of->held = next->seq;
  }
  client.is_slow = false;
}

bool StreamHub::send(Client& client, const SharedText& text) {
  const bool is_taken = client.socket->send(text);
  if (!is_taken) client.is_slow = true;
  return is_taken;
}

bool StreamHub::send(Client& client, const Json& message) {
  return send(client, std::make_shared<const std::string>(codec::dump(message)));
}

}  // namespace aether::api
