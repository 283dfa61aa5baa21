#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <ostream>

#include "client/log_tail.h"
#include "client/verbs.h"

namespace aether::client {
namespace {

constexpr std::int64_t kAssumedLineBytes = 256;
constexpr std::int64_t kSmallestTailBytes = 64 << 10;
constexpr std::int64_t kLargestTailBytes = 32 << 20;
constexpr int kReconnects = 30;

std::optional<std::int64_t> header_number(const http::ClientResponse& response, const std::string& name) {
  const auto it = response.headers.find(name);
  if (it == response.headers.end()) return std::nullopt;
  std::int64_t value = 0;
  const char* end = it->second.data() + it->second.size();
  const auto [stop, error] = std::from_chars(it->second.data(), end, value);
  return error == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

// The end of `text` that holds its last `lines` lines.
std::string_view last_lines(std::string_view text, std::int64_t lines) {
  std::size_t at = text.size();
  if (text.ends_with('\n') && at > 0) --at;
  while (lines > 0 && at > 0) {
    const std::size_t previous = text.rfind('\n', at - 1);
    if (--lines == 0) return previous == std::string_view::npos ? text : text.substr(previous + 1);
    if (previous == std::string_view::npos) return text;
    at = previous;
  }
  return lines > 0 ? text : std::string_view();
}

}  // namespace

LogTail::LogTail(std::string job, std::string stream, std::ostream& sink, bool filtered)
    : job_(std::move(job)), stream_(std::move(stream)), sink_(sink), filtered_(filtered) {}

std::string LogTail::path(std::string_view query) const {
  return fmt::format("{}/logs/{}?{}", job_path(job_), stream_, query);
}

void LogTail::write(std::string_view bytes) {
  if (filtered_)
    sink_ << filter_.pass(bytes);
  else
    sink_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  sink_.flush();
}

void LogTail::finish() {
  if (filtered_) sink_ << filter_.finish() << std::flush;
}

void LogTail::note_headers(Context& context, const http::ClientResponse& response) {
  const auto start = header_number(response, "aether-log-offset");
  if (start && *start > offset_) {
    context.say(fmt::format("{} bytes of {} are no longer there", *start - offset_, stream_));
    offset_ = *start;
  }
  const auto complete = response.headers.find("aether-log-complete");
  complete_ = complete != response.headers.end() && complete->second == "true";
}

Outcome<bool> LogTail::poll(Context& context) {
  if (complete_) return false;
  const auto response = context.get_raw(path(fmt::format("offset={}", offset_)));
  if (!response) return failed(response.error());
  note_headers(context, *response);
  write(response->body);
  offset_ = header_number(*response, "aether-log-next-offset")
                .value_or(offset_ + static_cast<std::int64_t>(response->body.size()));
  return !response->body.empty();
}

Outcome<void> LogTail::skip_to_last_lines(Context& context, std::int64_t lines) {
  // `tail` of the API counts bytes; the lines are counted here.
  const std::int64_t bytes = std::clamp(std::min(lines, kLargestTailBytes) * kAssumedLineBytes,
                                        kSmallestTailBytes, kLargestTailBytes);
  const auto response = context.get_raw(path(fmt::format("tail={}", bytes)));
  if (!response) return failed(response.error());
  const std::int64_t start = header_number(*response, "aether-log-offset").value_or(0);
  offset_ = start;
  note_headers(context, *response);
  write(last_lines(response->body, lines));
  offset_ = header_number(*response, "aether-log-next-offset")
                .value_or(start + static_cast<std::int64_t>(response->body.size()));
  return {};
}

Outcome<void> LogTail::follow(Context& context) {
  bool job_ended = false, reached_once = offset_ > 0;
  int failures = 0;
  while (InterruptGuard::count() == 0 && !complete_) {
    const auto response =
        context.stream(path(fmt::format("follow=1&offset={}", offset_)), [&](std::string_view bytes) {
          if (!bytes.empty()) write(bytes);
        reached_once = reached_once || !bytes.empty();
          offset_ += static_cast<std::int64_t>(bytes.size());
          return InterruptGuard::count() == 0;
        });
    if (!response) {
      if (response.error().exit_code != kUnreachable || ++failures > kReconnects)
        return failed(response.error());
      if (failures == 1) context.say("the connection is lost; trying again");
      sleep_unless_interrupted(std::chrono::seconds(1));
      continue;
    }
    failures = 0;
    reached_once = true;
    if (job_ended) return {};  // this transfer began after the end, so it had everything
    const auto job = context.get(job_path(job_));
    if (!job) return failed(job.error());
    job_ended = has_ended(*job);
    if (!job_ended) sleep_unless_interrupted(std::chrono::milliseconds(300));
  }
  return {};
}

Outcome<int> logs(Context& context, const LogFlags& flags) {
  if (flags.stream != "stdout" && flags.stream != "stderr")
    return failed(kUsage, fmt::format("--stream: '{}'; give stdout or stderr", flags.stream));
  if (flags.tail_lines && flags.offset) return failed(kUsage, "--tail and --offset exclude each other");
  const InterruptGuard interrupts;
  LogTail tail(flags.job, flags.stream, context.out(), context.out_is_terminal() && !flags.raw);
  tail.set_offset(flags.offset.value_or(0));
  if (flags.tail_lines) {
    AETHER_CLI_TRY(tail.skip_to_last_lines(context, *flags.tail_lines));
  } else if (!flags.follow) {
    auto more = tail.poll(context);
    while (more && *more && !tail.is_complete()) more = tail.poll(context);
    if (!more) return failed(std::move(more).error());
  }
  if (flags.follow) AETHER_CLI_TRY(tail.follow(context));
  tail.finish();
  return InterruptGuard::count() > 0 ? 128 + 2 : static_cast<int>(kOk);
}

}  // namespace aether::client
