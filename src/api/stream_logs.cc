// Logs over the stream: each viewer asks for what comes next. The file is the truth; a viewer that can't keep up skips
// forward and is told where.
#include <nlohmann/json.hpp>

#include "api/stream.h"
#include "codec/codec.h"

namespace aether::api {
namespace {

constexpr std::int64_t kFirstBytes = 64 << 10;  // of what was printed before the viewer came
constexpr std::int64_t kChunkBytes = 48 << 10;
constexpr std::int64_t kMostLagBytes = 1 << 20;

}  // namespace

void StreamHub::follow_log(Client& client, const std::string& topic, const std::string& key) {
  const auto job = control_.find_job(key);
  if (!job) return refuse(client, 404, "not_found", job.error().message);
  LogFollow follow;
  follow.job = (*job)->id;
  for (const char* stream : {"stdout", "stderr"}) follow.streams[stream].offset = -kFirstBytes;
  client.logs.try_emplace(topic, std::move(follow));
}

void StreamHub::poll_logs(Client& client) {
  for (auto& [topic, follow] : client.logs) {
    for (auto& [stream, state] : follow.streams) {
      if (state.is_asked || state.is_done) continue;
      state.is_asked = true;
      control_.read_log(
          follow.job, stream, state.offset, kChunkBytes,
          [inbox = inbox_, socket = client.socket, topic = topic, stream = stream](Result<LogChunk> chunk) {
            inbox->events.push(LogAnswer{socket, topic, stream, std::move(chunk)});
          });
    }
  }
}

void StreamHub::on_log(Client& client, const LogAnswer& answer) {
  const auto follow = client.logs.find(answer.topic);
  if (follow == client.logs.end()) return;
  LogStream& state = follow->second.streams[answer.stream];
  state.is_asked = false;
  if (!answer.chunk) {
    // Not started yet, or its node is away: asked again. A job whose output is gone for good ends the topic.
    if (answer.chunk.error().code == ErrorCode::kNotFound) state.is_done = true;
    return;
  }
  const LogChunk& chunk = *answer.chunk;
  const bool is_behind = state.offset >= 0 && chunk.size - state.offset > kMostLagBytes && client.is_slow;
  const std::int64_t expected = state.offset;
  if (is_behind || (expected >= 0 && chunk.offset > expected)) {
    const std::int64_t to = is_behind ? chunk.size - kFirstBytes : chunk.offset;
    if (!send(client, Json{{"type", "gap"},
                           {"topic", answer.topic},
                           {"stream_name", answer.stream},
                           {"from", expected},
                           {"to", to},
                           {"reason", "slow_client"}}))
      return;
    state.offset = to;
    if (is_behind) return;
  }
  if (chunk.data.empty() && !chunk.complete) {
    if (state.offset < 0) state.offset = chunk.offset;
    return;
  }
  const bool is_sent = send(client, Json{{"type", "log"},
                                         {"job", follow->second.job.str()},
                                         {"stream_name", answer.stream},
                                         {"offset", chunk.offset},
                                         {"data_b64", codec::base64_encode(chunk.data)},
                                         {"complete", chunk.complete}});
  if (!is_sent) return;  // the same bytes again next time
  state.offset = chunk.offset + static_cast<std::int64_t>(chunk.data.size());
  state.is_done = chunk.complete;
}

}  // namespace aether::api
