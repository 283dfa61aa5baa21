#include "executor/posix/shim_protocol.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace aether::executor {
namespace {

void put(std::string& out, std::string_view key, std::string_view value) {
  out.append(key).push_back('=');
  out.append(value).push_back('\0');
}
void put(std::string& out, std::string_view key, std::int64_t value) { put(out, key, std::to_string(value)); }

std::int64_t to_number(std::string_view text) { return std::strtoll(std::string(text).c_str(), nullptr, 10); }

void take(ShimArgs& args, std::string_view key, std::string_view value) {
  if (key == "attempt") args.attempt = value;
  else if (key == "change_identity") args.change_identity = value == "1";
  else if (key == "uid") args.uid = static_cast<uid_t>(to_number(value));
  else if (key == "gid") args.gid = static_cast<gid_t>(to_number(value));
  else if (key == "group") args.groups.push_back(static_cast<gid_t>(to_number(value)));
  else if (key == "umask") args.umask = static_cast<unsigned>(to_number(value));
  else if (key == "cwd") args.cwd = value;
  else if (key == "argv") args.argv.emplace_back(value);
  else if (key == "env") args.env.emplace_back(value);
  else if (key == "time_limit_ms") args.time_limit_ms = to_number(value);
  else if (key == "grace_ms") args.grace_ms = to_number(value);
  else if (key == "leftover_grace_ms") args.leftover_grace_ms = to_number(value);
  else if (key == "log_segment_bytes") args.log_segment_bytes = to_number(value);
  else if (key == "log_segments") args.log_segments = static_cast<int>(to_number(value));
  else if (key == "shim_cgroup") args.shim_cgroup = value;
  else if (key == "job_cgroup") args.job_cgroup = value;
  else if (key == "failpoint") args.failpoint = value;
}

std::string padded(std::string text) {
  text.resize(kRecordBytes - 1, ' ');
  text.push_back('\n');
  return text;
}

std::string number_or_null(const std::optional<int>& value) { return value ? std::to_string(*value) : "null"; }

constexpr std::array<std::string_view, 14> kStepNames = {
    "none", "shim", "gate", "fork", "process group", "cgroup", "descriptors", "setgroups", "setresgid", "setresuid",
    "identity check", "no_new_privs", "chdir", "exec"};

}  // namespace

std::string encode_shim_args(const ShimArgs& args) {
  std::string out;
  put(out, "v", kShimProtocolVersion);
  put(out, "attempt", args.attempt);
  put(out, "change_identity", args.change_identity ? 1 : 0);
  put(out, "uid", args.uid);
  put(out, "gid", args.gid);
  for (const gid_t group : args.groups) put(out, "group", group);
  put(out, "umask", args.umask);
  put(out, "cwd", args.cwd);
  for (const auto& word : args.argv) put(out, "argv", word);
  for (const auto& entry : args.env) put(out, "env", entry);
  put(out, "time_limit_ms", args.time_limit_ms);
  put(out, "grace_ms", args.grace_ms);
  put(out, "leftover_grace_ms", args.leftover_grace_ms);
  put(out, "log_segment_bytes", args.log_segment_bytes);
  put(out, "log_segments", args.log_segments);
  put(out, "shim_cgroup", args.shim_cgroup);
  put(out, "job_cgroup", args.job_cgroup);
  put(out, "failpoint", args.failpoint);
  put(out, "end", 1);
  return out;
}

std::optional<ShimArgs> decode_shim_args(std::string_view text) {
  ShimArgs args;
  bool version_known = false, whole = false;
  while (!text.empty() && !whole) {
    const std::size_t length = text.find('\0');
    if (length == std::string_view::npos) return std::nullopt;
    const std::string_view field = text.substr(0, length);
    text.remove_prefix(length + 1);
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view key = field.substr(0, equals), value = field.substr(equals + 1);
    if (key == "v") version_known = to_number(value) == kShimProtocolVersion;
    else if (key == "end") whole = true;
    else take(args, key, value);
  }
  const bool usable = !args.argv.empty() && args.log_segment_bytes > 0 && args.log_segments >= 2;
  return version_known && whole && text.empty() && usable ? std::optional(std::move(args)) : std::nullopt;
}

std::string_view to_string(LaunchStep step) { return kStepNames.at(static_cast<std::size_t>(step)); }

std::string encode_exit_record(const ExitRecord& record) {
  char text[1024];
  std::snprintf(text, sizeof text,
                "{\"v\":%d,\"complete\":%s,\"exit_code\":%s,\"signal\":%s,\"core_dumped\":%s,\"cause\":\"%s\","
                "\"step\":\"%s\",\"error\":%d,\"started_us\":%lld,\"ended_us\":%lld,"
                "\"stdout_dropped_bytes\":%llu,\"stderr_dropped_bytes\":%llu}",
                kShimProtocolVersion, record.complete ? "true" : "false", number_or_null(record.exit_code).c_str(),
                number_or_null(record.signal).c_str(), record.core_dumped ? "true" : "false", record.cause.c_str(),
                std::string(to_string(record.step)).c_str(), record.error, static_cast<long long>(record.started_us),
                static_cast<long long>(record.ended_us), static_cast<unsigned long long>(record.stdout_dropped_bytes),
                static_cast<unsigned long long>(record.stderr_dropped_bytes));
  return padded(text);
}

std::string encode_stop_record(std::string_view reason, std::int64_t grace_ms, std::int64_t time_us) {
  return padded("{\"v\":1,\"reason\":\"" + std::string(reason) + "\",\"grace_ms\":" + std::to_string(grace_ms) +
                ",\"time_us\":" + std::to_string(time_us) + "}");
}

bool is_plain_word(std::string_view text) {
  return !text.empty() && text.size() <= 32 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

bool write_record(const char* path, std::string_view record) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return false;
  std::size_t done = 0;
  int error = 0;
  while (done < record.size() && error == 0) {
    const ssize_t written = pwrite(fd, record.data() + done, record.size() - done, static_cast<off_t>(done));
    if (written >= 0) done += static_cast<std::size_t>(written);
    else if (errno != EINTR) error = errno;
  }
  if (error == 0 && fsync(fd) != 0) error = errno;
  close(fd);
  errno = error;
  return error == 0;
}

}  // namespace aether::executor
