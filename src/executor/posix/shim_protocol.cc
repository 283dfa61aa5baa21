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

bool take_version_1(ShimArgs& args, std::string_view key, std::string_view value) {
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
  else return false;
  return true;
}

void take_version_2(ShimArgs& args, std::string_view key, std::string_view value) {
  if (key == "log_block") args.log_block = value == "1";
  else if (key == "lease_until_boot_ms") args.lease_until_boot_ms = to_number(value);
  else if (key == "early_signal") args.early_signal = static_cast<int>(to_number(value));
  else if (key == "early_before_ms") args.early_before_ms = to_number(value);
  else if (key == "checkpoint") args.checkpoint_argv.emplace_back(value);
  else if (key == "checkpoint_timeout_ms") args.checkpoint_timeout_ms = to_number(value);
  else if (key == "unkillable_after_ms") args.unkillable_after_ms = to_number(value);
  else if (key == "stdout_path") args.stdout_path = value;
  else if (key == "stderr_path") args.stderr_path = value;
  else if (key == "append_output") args.append_output = value == "1";
  else if (key == "limit_cgroup") args.limit_cgroups.emplace_back(value);
  else if (key == "oom_events") args.oom_events = value;
  else if (key.starts_with("rlimit."))
    args.resource_limits.push_back({static_cast<int>(to_number(key.substr(7))), static_cast<std::uint64_t>(to_number(value))});
}

void take(ShimArgs& args, std::string_view key, std::string_view value) {
  if (!take_version_1(args, key, value) && kShimProtocolVersion >= 2) take_version_2(args, key, value);
}

void put_version_2(std::string& out, const ShimArgs& args) {
  put(out, "log_block", args.log_block ? 1 : 0);
  put(out, "lease_until_boot_ms", args.lease_until_boot_ms);
  put(out, "early_signal", args.early_signal);
  put(out, "early_before_ms", args.early_before_ms);
  for (const auto& word : args.checkpoint_argv) put(out, "checkpoint", word);
  put(out, "checkpoint_timeout_ms", args.checkpoint_timeout_ms);
  put(out, "unkillable_after_ms", args.unkillable_after_ms);
  put(out, "stdout_path", args.stdout_path);
  put(out, "stderr_path", args.stderr_path);
  put(out, "append_output", args.append_output ? 1 : 0);
  for (const auto& limit : args.resource_limits)
    put(out, "rlimit." + std::to_string(limit.resource), static_cast<std::int64_t>(limit.value));
  for (const auto& directory : args.limit_cgroups) put(out, "limit_cgroup", directory);
  put(out, "oom_events", args.oom_events);
}

std::string padded(std::string text) {
  text.resize(kRecordBytes - 1, ' ');
  text.push_back('\n');
  return text;
}

std::string number_or_null(const std::optional<int>& value) { return value ? std::to_string(*value) : "null"; }

std::string fields_of_version_2(const ExitRecord& record) {
  std::string text = ",\"checkpoint\":\"" + std::string(to_string(record.checkpoint)) +
                     "\",\"checkpoint_status\":" + std::to_string(record.checkpoint_status) +
                     ",\"early_signal_reached\":" + std::to_string(record.early_signal_reached) + ",\"survivors\":[";
  for (std::size_t i = 0; i < record.survivors.size() && i < 16; ++i)
    text += (i > 0 ? "," : "") + std::to_string(record.survivors[i]);
  return text + "]";
}

constexpr std::array<std::string_view, 16> kStepNames = {
    "none", "shim", "gate", "fork", "process group", "cgroup", "descriptors", "setgroups", "setresgid", "setresuid",
    "identity check", "no_new_privs", "chdir", "exec", "resource limits", "output file"};

constexpr std::array<std::string_view, 5> kCheckpointNames = {"none", "running", "done", "failed", "timeout"};

}  // namespace

std::string encode_shim_args(const ShimArgs& args) {
  std::string out;
  put(out, "v", args.version);
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
  if (args.version >= 2) put_version_2(out, args);
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
    if (key == "v") {
      args.version = static_cast<int>(to_number(value));
      version_known = args.version >= kOldestShimProtocolVersion && args.version <= kShimProtocolVersion;
    }
    else if (key == "end") whole = true;
    else take(args, key, value);
  }
  const bool usable = !args.argv.empty() && args.log_segment_bytes > 0 && args.log_segments >= 2;
  return version_known && whole && text.empty() && usable ? std::optional(std::move(args)) : std::nullopt;
}

std::string_view to_string(LaunchStep step) { return kStepNames.at(static_cast<std::size_t>(step)); }

std::string_view to_string(CheckpointOutcome outcome) {
  return kCheckpointNames.at(static_cast<std::size_t>(outcome));
}

std::string encode_exit_record(const ExitRecord& record) {
  char text[1024];
  std::snprintf(text, sizeof text,
                "{\"v\":%d,\"complete\":%s,\"exit_code\":%s,\"signal\":%s,\"core_dumped\":%s,\"cause\":\"%s\","
                "\"step\":\"%s\",\"error\":%d,\"started_us\":%lld,\"ended_us\":%lld,"
                "\"stdout_dropped_bytes\":%llu,\"stderr_dropped_bytes\":%llu",
                kShimProtocolVersion, record.complete ? "true" : "false", number_or_null(record.exit_code).c_str(),
                number_or_null(record.signal).c_str(), record.core_dumped ? "true" : "false", record.cause.c_str(),
                std::string(to_string(record.step)).c_str(), record.error, static_cast<long long>(record.started_us),
                static_cast<long long>(record.ended_us), static_cast<unsigned long long>(record.stdout_dropped_bytes),
                static_cast<unsigned long long>(record.stderr_dropped_bytes));
  return padded(text + (kShimProtocolVersion >= 2 ? fields_of_version_2(record) : std::string()) + "}");
}

std::optional<ShimOrder> decode_order(std::string_view message) {
  const std::string text(message.substr(0, message.find('\0')));
  ShimOrder order;
  char verb[17] = {}, word[33] = {};
  long long number = 0;
  if (std::sscanf(text.c_str(), "%d %16s", &order.version, verb) != 2) return std::nullopt;
  order.verb = verb;
  if (order.verb == "suspend" || order.verb == "resume") return order;
  if (order.verb == "stop") {
    if (std::sscanf(text.c_str(), "%*d %*s %32s %lld", word, &number) != 2 || !is_plain_word(word)) return std::nullopt;
    order.word = word;
  } else if ((order.verb != "signal" && order.verb != "lease") ||
             std::sscanf(text.c_str(), "%*d %*s %lld", &number) != 1) {
    return std::nullopt;
  }
  if (number < 0) return std::nullopt;
  order.number = number;
  return order;
}

std::optional<ShimState> decode_state(std::string_view message) {
  const std::string text(message.substr(0, message.find('\0')));
  ShimState state;
  char word[17] = {};
  long long started_us = 0;
  if (std::sscanf(text.c_str(), "%d %16s %lld", &state.version, word, &started_us) != 3) return std::nullopt;
  if (state.version < kOldestShimProtocolVersion || state.version > kShimProtocolVersion) return std::nullopt;
  state.word = word;
  state.started_us = started_us;
  return state;
}

std::string encode_stop_record(std::string_view reason, std::int64_t grace_ms, std::int64_t time_us) {
  return padded("{\"v\":1,\"reason\":\"" + std::string(reason) + "\",\"grace_ms\":" + std::to_string(grace_ms) +
                ",\"time_us\":" + std::to_string(time_us) + "}");
}

bool is_plain_word(std::string_view text) {
  return !text.empty() && text.size() <= 32 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

bool write_record(const char* path, std::string_view record, Durability durability) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return false;
  std::size_t done = 0;
  int error = 0;
  while (done < record.size() && error == 0) {
    const ssize_t written = pwrite(fd, record.data() + done, record.size() - done, static_cast<off_t>(done));
    if (written >= 0) done += static_cast<std::size_t>(written);
    else if (errno != EINTR) error = errno;
  }
  if (error == 0 && durability == Durability::kPowerSafe && fdatasync(fd) != 0) error = errno;
  close(fd);
  errno = error;
  return error == 0;
}

}  // namespace aether::executor
