#include "workload.h"

#include <signal.h>

#include <chrono>

#include <fmt/format.h>

namespace aether::chaos {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kPause{100};

// One write with O_APPEND per line: whole, and in the order in which it happened. The last words of some jobs leave a
// process behind that has left the session: it has to end with its job.
std::string script_of(const std::string& record, double seconds, bool leaves_a_process, const std::string& last_words) {
  const std::string who = "$AETHER_JOB_ID $AETHER_ATTEMPT ${CUDA_VISIBLE_DEVICES:--}";
  return fmt::format("echo start {0} >>{1}; {2}sleep {3:.2f}; echo end {0} >>{1}; {4}", who, record,
                     leaves_a_process ? "setsid sleep 3600 & " : "", seconds, last_words);
}

}  // namespace

Workload::Workload(WorkloadOptions options)
    : options_(std::move(options)),
      client_({.base_url = options_.api_url, .timeout = std::chrono::seconds(5), .token = options_.token}),
      random_(options_.seed) {}

void Workload::start() {
  thread_ = std::thread([this] { run(); });
}

void Workload::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void Workload::run() {
  for (; !stopping_; std::this_thread::sleep_for(kPause)) {
    std::erase_if(unanswered_, [&](const Submission& submission) {
      ++repeated_;
      return submit(submission);
    });
    const auto live = count_live();
    if (!live || !unanswered_.empty()) continue;
    for (int missing = options_.jobs - *live; missing > 0 && unanswered_.empty() && !stopping_; --missing) {
      Submission submission = make_submission();
      if (!submit(submission)) unanswered_.push_back(std::move(submission));
    }
  }
}

std::optional<int> Workload::count_live() {
  const auto reply = client_.request("GET", "/api/v1/jobs?state=waiting,running&limit=1000");
  if (!reply || reply->status != 200) return std::nullopt;
  return static_cast<int>(Json::parse(reply->body).at("items").size());
}

Workload::Submission Workload::make_submission() {
  const std::uint64_t n = next_++;
  const auto chance = [&](unsigned percent) { return random_() % 100 < percent; };
  Submission out;
  out.key = fmt::format("chaos-{}-{}", options_.seed, n);
  std::string last_words;
  if (chance(20)) {
    static constexpr int kSignals[] = {SIGKILL, SIGTERM, SIGSEGV, SIGUSR1};
    out.expected.signal = kSignals[random_() % std::size(kSignals)];
    last_words = fmt::format("kill -{} $$; sleep 60", out.expected.signal);
  } else {
    out.expected.exit_code = chance(40) ? 0 : static_cast<int>(1 + random_() % 255);
    last_words = fmt::format("exit {}", out.expected.exit_code);
  }
  // Most are short, a few outlive many rounds.
  const double seconds = std::min(std::exponential_distribution<double>(1 / options_.job_seconds)(random_), 8 * options_.job_seconds);
  const int gpus = chance(5) ? 0 : chance(5) ? 2 : 1;
  out.spec = {{"argv", {"/bin/sh", "-c", script_of(options_.record, seconds, chance(10), last_words)}},
              {"gpus", gpus},
              {"name", out.key},
              {"time_limit_s", 3600}};
  return out;
}

// True when the server has decided.
bool Workload::submit(const Submission& submission) {
  const auto reply = client_.request("POST", "/api/v1/jobs", submission.spec.dump(),
                                     {{"content-type", "application/json"}, {"idempotency-key", submission.key}});
  if (!reply || reply->status >= 500 || reply->status == 429) return false;
  std::lock_guard lock(mutex_);
  if (reply->status == 201 || reply->status == 200)
    accepted_[Json::parse(reply->body).at("job_id").get<std::string>()] = submission.expected;
  else
    refusals_.push_back(fmt::format("submission {} was answered {}: {}", submission.key, reply->status, reply->body));
  return true;
}

bool Workload::drain(double timeout_s) {
  const auto deadline = steady_clock::now() + std::chrono::duration<double>(timeout_s);
  while (steady_clock::now() < deadline) {
    std::erase_if(unanswered_, [&](const Submission& submission) { return submit(submission); });
    if (unanswered_.empty() && count_live() == 0) return true;
    std::this_thread::sleep_for(kPause);
  }
  return false;
}

std::vector<Json> Workload::all_jobs() {
  std::vector<Json> jobs;
  std::string token;
  do {
    const auto reply = client_.request("GET", "/api/v1/jobs?limit=1000" + (token.empty() ? "" : "&page_token=" + http::url_encode(token)));
    if (!reply || reply->status != 200) return jobs;
    Json page = Json::parse(reply->body);
    for (Json& job : page.at("items")) jobs.push_back(std::move(job));
    token = page.at("next_page_token").is_null() ? "" : page.at("next_page_token").get<std::string>();
  } while (!token.empty());
  return jobs;
}

std::map<std::string, Expected> Workload::accepted() const {
  std::lock_guard lock(mutex_);
  return accepted_;
}
std::size_t Workload::accepted_count() const {
  std::lock_guard lock(mutex_);
  return accepted_.size();
}
std::vector<std::string> Workload::refusals() const {
  std::lock_guard lock(mutex_);
  return refusals_;
}

}  // namespace aether::chaos
