// What a job printed: by offset, from the end, or followed until it has ended.
#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <utility>

#include "api/context.h"

namespace aether::api {
namespace {

constexpr std::int64_t kDefaultBytes = 1 << 20;
constexpr std::int64_t kMostBytes = 32 << 20;
constexpr std::chrono::seconds kAnswerTime{10};

struct LogQuery {
  JobId job;
  std::string stream;
  std::int64_t offset = 0;  // negative counts from the end
  std::int64_t limit = kDefaultBytes;
  bool follow = false;
};

Result<LogChunk> read_once(Control& control, const LogQuery& query, std::int64_t offset, std::int64_t limit) {
  struct Slot {
    std::mutex mutex;
    std::condition_variable ready;
    std::optional<Result<LogChunk>> answer;
  };
  const auto slot = std::make_shared<Slot>();
  control.read_log(query.job, query.stream, offset, limit, [slot](Result<LogChunk> answer) {
    std::lock_guard lock(slot->mutex);
    slot->answer = std::move(answer);
    slot->ready.notify_one();
  });
  std::unique_lock lock(slot->mutex);
  if (!slot->ready.wait_for(lock, kAnswerTime, [&] { return slot->answer.has_value(); }))
    return fail(ErrorCode::kTimeout, "nobody answered for this log; the orchestrator may be overloaded");
  return std::move(*slot->answer);
}

// One chunk of the bus is small: asks again until the limit, the end of what is there, or a hole.
Result<LogChunk> read_range(Control& control, const LogQuery& query) {
  auto first = read_once(control, query, query.offset, query.limit);
  if (!first) return first;
  LogChunk all = std::move(*first);
  while (!all.complete && !all.data.empty() && static_cast<std::int64_t>(all.data.size()) < query.limit) {
    const std::int64_t next = all.offset + static_cast<std::int64_t>(all.data.size());
    if (next >= all.size) break;
    const auto more = read_once(control, query, next, query.limit - static_cast<std::int64_t>(all.data.size()));
    if (!more || more->data.empty() || more->offset != next) break;
    all.data += more->data;
    all.size = more->size;
    all.complete = more->complete;
  }
  return all;
}

// Of a job that has not started, or ended before it could.
Response empty_log(const Job& job) {
  Response response;
  response.content_type = "application/octet-stream";
  response.headers = {{"Aether-Log-Offset", "0"},
                      {"Aether-Log-Next-Offset", "0"},
                      {"Aether-Log-Complete", is_terminal(job.state) ? "true" : "false"}};
  return response;
}

std::int64_t end_of(const LogChunk& chunk) { return chunk.offset + static_cast<std::int64_t>(chunk.data.size()); }

// One request at a time to the node, waited for only briefly: a node that does not answer must not hold a worker.
class Follower {
 public:
  Follower(Control& control, LogQuery query, LogChunk first)
      : control_(control), query_(std::move(query)), answer_(std::move(first)) {}

  bool next(std::string& out, const std::weak_ptr<Follower>& self) {
    std::unique_lock lock(mutex_);
    if (!is_asked_ && !answer_) ask(lock, self);
    ready_.wait_for(lock, std::chrono::milliseconds(50), [&] { return answer_.has_value(); });
    if (!answer_) return true;
    const Result<LogChunk> answer = *std::exchange(answer_, std::nullopt);
    if (!answer) return goes_on_after(answer.error());
    failures_ = 0;
    out = answer->data;
    query_.offset = end_of(*answer);
    return !answer->complete;
  }

 private:
  static constexpr int kMostFailures = 60;  // each took its own time limit: a node may be away for two minutes

  // A job that has not started may still; one that ended before it could has nothing to say.
  bool goes_on_after(const Error& error) {
    if (error.code != ErrorCode::kConflict) return ++failures_ < kMostFailures;
    const auto view = control_.view();
    const auto job = view->jobs.find(query_.job);
    return job != view->jobs.end() && !is_terminal(job->second->state);
  }

  void ask(std::unique_lock<std::mutex>& lock, const std::weak_ptr<Follower>& weak) {
    is_asked_ = true;
    lock.unlock();
    control_.read_log(query_.job, query_.stream, query_.offset, kDefaultBytes, [weak](Result<LogChunk> answer) {
      const auto follower = weak.lock();
      if (!follower) return;
      std::lock_guard answer_lock(follower->mutex_);
      follower->answer_ = std::move(answer);
      follower->is_asked_ = false;
      follower->ready_.notify_one();
    });
    lock.lock();
  }

  Control& control_;
  LogQuery query_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::optional<Result<LogChunk>> answer_;
  bool is_asked_ = false;
  int failures_ = 0;
};

std::function<bool(std::string&)> follow(Control& control, LogQuery query, LogChunk first) {
  return [follower = std::make_shared<Follower>(control, std::move(query), std::move(first))](std::string& out) {
    return follower->next(out, follower);
  };
}

Result<LogQuery> read_query(const Request& request) {
  LogQuery query;
  query.stream = request.params.at("stream");
  const auto offset = query_integer(request, "offset", 0, 0, INT64_MAX / 2);
  if (!offset) return fail(offset.error());
  const auto limit = query_integer(request, "limit", kDefaultBytes, 1, kMostBytes);
  if (!limit) return fail(limit.error());
  const auto tail = query_integer(request, "tail", 0, 0, kMostBytes);
  if (!tail) return fail(tail.error());
  const auto wants_follow = query_flag(request, "follow");
  if (!wants_follow) return fail(wants_follow.error());
  if (request.query_value("tail") && request.query_value("offset"))
    return fail(ErrorCode::kInvalidArgument, "give either offset or tail", "tail");
  query.offset = *tail > 0 ? -*tail : *offset;
  query.limit = *tail > 0 ? *tail : *limit;
  query.follow = *wants_follow;
  return query;
}

Response read_logs(Context& context, const Request& request) {
  if (auto refusal = refuse_unknown_query(request, {"offset", "limit", "tail", "follow"})) return *refusal;
  auto query = read_query(request);
  if (!query) return bad_parameter(query.error().field, query.error().message, request);
  if (query->stream != "stdout" && query->stream != "stderr")
    return http::problem(404, "not_found", "a job has the streams stdout and stderr", request);
  const auto job = context.control.find_job(request.params.at("id"));
  if (!job) return http::problem(job.error(), request, "aether queue --all  lists the jobs");
  query->job = (*job)->id;
  if ((*job)->attempts.empty() && (!query->follow || is_terminal((*job)->state))) return empty_log(**job);
  auto chunk = read_range(context.control, *query);
  const bool not_started = !chunk && chunk.error().code == ErrorCode::kConflict;
  if (!chunk && !(not_started && query->follow)) return http::problem(chunk.error(), request);
  if (!chunk) chunk = LogChunk{};
  Response response;
  response.content_type = "application/octet-stream";
  response.headers["Aether-Log-Offset"] = std::to_string(chunk->offset);
  response.headers["Aether-Log-Next-Offset"] = std::to_string(end_of(*chunk));
  response.headers["Aether-Log-Complete"] = chunk->complete ? "true" : "false";
  if (query->follow)
    response.stream = follow(context.control, *query, std::move(*chunk));
  else
    response.body = std::move(chunk->data);
  return response;
}

}  // namespace

void add_log_routes(http::Server& server, Context& context) {
  server.route("GET", "/api/v1/jobs/{id}/logs/{stream}", http::Access::kRead, http::Run::kWorker,
               [&context](const Request& request) { return read_logs(context, request); });
}

}  // namespace aether::api
