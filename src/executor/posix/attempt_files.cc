#include "executor/posix/attempt_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "codec/codec.h"

namespace aether::executor {
namespace {

using Json = nlohmann::json;

constexpr int kManifestVersion = 3;  // 1 and 2 are read too: they lack what later versions added

// For this boot alone: another one starts nothing of an attempt and only looks for its records.
Result<void> write_new_file(const std::string& path, std::string_view content) {
  if (write_record(path.c_str(), content, Durability::kCrashSafe)) return {};
  return fail(ErrorCode::kIo, fmt::format("writing {}: {}", path, std::strerror(errno)));
}

// Room for one record, without a sync: the disk cannot fill up in its place, and should the room get lost with the
// machine, there is nothing to write into it any more. Its name is durable with the manifest's.
Result<void> preallocate(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  const int error = fd < 0 ? errno : posix_fallocate(fd, 0, static_cast<off_t>(kRecordBytes));
  if (fd >= 0) close(fd);
  if (error == 0) return {};
  return fail(ErrorCode::kIo, fmt::format("making room for {}: {}", path, std::strerror(error)));
}

std::string padded(std::string record) {
  record.resize(std::max(record.size(), kRecordBytes), ' ');
  return record;
}

std::string to_text(const Json& json) { return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"; }

// Discarded (not thrown) when the text is blank, torn or not an object.
Json read_json(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return {};
  Json json = Json::parse(*text, nullptr, false);
  return json.is_object() ? json : Json();
}

// What a file says there; `otherwise` when it says nothing. Throws for a field of another type.
template <class Value>
Value value_of(const Json& json, const char* key, Value otherwise) {
  const auto found = json.find(key);
  return found == json.end() ? std::move(otherwise) : found->template get<Value>();
}

// A record with a field of the wrong type is as damaged as a torn one, and no record either.
template <class Decode>
auto decode_record(const Json& json, Decode decode) -> std::optional<decltype(decode(json))> {
  if (!json.is_object()) return std::nullopt;
  try {
    return decode(json);
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::optional<int> optional_number(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_integer() ? std::optional(found->get<int>()) : std::nullopt;
}

Json encode(const Manifest& manifest) {
  return {{"v", kManifestVersion},
          {"job", manifest.attempt.job.str()},
          {"attempt", manifest.attempt.n},
          {"epoch", manifest.epoch},
          {"job_number", manifest.job_number},
          {"user", manifest.user},
          {"boot_id", manifest.boot_id},
          {"created_us", manifest.created_us},
          {"argv", manifest.argv},
          {"cwd", manifest.cwd},
          {"gpu_uuids", manifest.gpu_uuids},
          {"time_limit_s", manifest.time_limit_s},
          {"grace_s", manifest.grace_s},
          {"log_segment_bytes", manifest.log_segment_bytes},
          {"cgroup", manifest.cgroup},
          {"job_directory", manifest.job_directory},
          {"shim_version", manifest.shim_version},
          {"lease_until_boot_ms", manifest.lease_until_boot_ms},
          {"stdout_path", manifest.stdout_path},
          {"stderr_path", manifest.stderr_path},
          {"limit_cgroups", manifest.limit_cgroups},
          {"gpu_slots", manifest.gpu_slots}};
}

Manifest decode(const Json& json) {
  Manifest manifest;
  manifest.attempt = {JobId(json.at("job").get<std::string>()), json.at("attempt").get<int>()};
  manifest.epoch = json.at("epoch").get<Epoch>();
  manifest.job_number = json.at("job_number").get<std::int64_t>();
  manifest.user = json.at("user").get<std::string>();
  manifest.boot_id = json.at("boot_id").get<std::string>();
  manifest.created_us = json.at("created_us").get<std::int64_t>();
  manifest.argv = json.at("argv").get<std::vector<std::string>>();
  manifest.cwd = json.at("cwd").get<std::string>();
  manifest.gpu_uuids = json.at("gpu_uuids").get<std::vector<std::string>>();
  manifest.time_limit_s = json.at("time_limit_s").get<std::int64_t>();
  manifest.grace_s = json.at("grace_s").get<std::int64_t>();
  manifest.log_segment_bytes = json.at("log_segment_bytes").get<std::int64_t>();
  manifest.cgroup = json.at("cgroup").get<std::string>();
  manifest.job_directory = json.at("job_directory").get<std::string>();
  manifest.shim_version = json.value("shim_version", 1);
  manifest.lease_until_boot_ms = json.value("lease_until_boot_ms", std::int64_t{0});
  manifest.stdout_path = json.value("stdout_path", "");
  manifest.stderr_path = json.value("stderr_path", "");
  manifest.limit_cgroups = json.value("limit_cgroups", std::vector<std::string>{});
  manifest.gpu_slots = json.value("gpu_slots", std::vector<int>{});
  return manifest;
}

LaunchStep parse_step(const std::string& word) {
  for (int i = 0; i <= static_cast<int>(LaunchStep::kOutputFile); ++i)
    if (to_string(static_cast<LaunchStep>(i)) == word) return static_cast<LaunchStep>(i);
  return LaunchStep::kNone;
}

std::string describe_launch_failure(const ExitRecord& record, const Manifest& manifest) {
  if (record.step == LaunchStep::kGate)
    return record.error == ETIME ? "its node's lease had run out before it could start"
                                 : "the agent ended before it let the job go";
  if (record.step == LaunchStep::kShim) return "aether-shim could not be started; the agent's log says why";
  const std::string reason = std::strerror(record.error);
  if (record.step == LaunchStep::kExec)
    return fmt::format("exec of {}: {}", manifest.argv.empty() ? "?" : manifest.argv.front(), reason);
  if (record.step == LaunchStep::kChdir) return fmt::format("chdir to {}: {}", manifest.cwd, reason);
  if (record.step == LaunchStep::kOutputFile)
    return fmt::format("opening the output file {}: {}",
                       manifest.stdout_path.empty() ? manifest.stderr_path : manifest.stdout_path, reason);
  return fmt::format("{} before exec: {}", to_string(record.step), reason);
}

CheckpointOutcome parse_checkpoint(const std::string& word) {
  for (int i = 0; i <= static_cast<int>(CheckpointOutcome::kTimeout); ++i)
    if (to_string(static_cast<CheckpointOutcome>(i)) == word) return static_cast<CheckpointOutcome>(i);
  return CheckpointOutcome::kNone;
}

std::string describe_checkpoint(const ExitRecord& record) {
  switch (record.checkpoint) {
    case CheckpointOutcome::kNone: return "";
    case CheckpointOutcome::kDone: return "its checkpoint command succeeded";
    case CheckpointOutcome::kRunning: return "it ended before its checkpoint command did";
    case CheckpointOutcome::kTimeout: return "its checkpoint command took too long";
    case CheckpointOutcome::kFailed: break;
  }
  return fmt::format("its checkpoint command failed with {}", record.checkpoint_status);
}

}  // namespace

Result<void> AttemptFiles::create(const Manifest& manifest, const ShimArgs& args,
                                  const LaunchSpec& launch) const {
  AETHER_TRY(lay_out(args, launch));
  return write_manifest(manifest);
}

Result<void> AttemptFiles::lay_out(const ShimArgs& args, const LaunchSpec& launch) const {
  AETHER_TRY(make_private_directory(directory_));
  AETHER_TRY(make_private_directory(path("log")));
  AETHER_TRY(write_new_file(path("shim.args"), encode_shim_args(args)));
  AETHER_TRY(write_new_file(path("launch.json"), codec::dump(codec::encode_job_spec(launch.spec))));
  for (const char* record : {"started.json", "stop.json", "exit.json", "log/gaps.stdout", "log/gaps.stderr"})
    AETHER_TRY(preallocate(path(record)));
  return {};
}

Result<void> AttemptFiles::write_manifest(const Manifest& manifest) const {
  return write_file_durably(path("manifest.json"), to_text(encode(manifest)));
}

// In place: the name is durable since the manifest, so one sync makes the record so too.
Result<void> AttemptFiles::write_started(const Started& started) const {
  const std::string record = padded(to_text({{"v", kManifestVersion},
                                             {"shim_pid", started.shim_pid},
                                             {"shim_start_ticks", started.shim_start_ticks},
                                             {"shim_serial", started.shim_serial}}));
  if (write_record(path("started.json").c_str(), record)) return {};
  return fail(ErrorCode::kIo, fmt::format("writing {}: {}", path("started.json"), std::strerror(errno)));
}

// Should it get lost, the result is reported once more, which is harmless.
Result<void> AttemptFiles::write_forgotten() const { return write_new_file(path("forgotten"), "1\n"); }

void AttemptFiles::clear_launch() const {
  if (truncate(path("launch.json").c_str(), 0) != 0 && errno != ENOENT) unlink(path("launch.json").c_str());
}

bool AttemptFiles::has_manifest() const { return access(path("manifest.json").c_str(), F_OK) == 0; }
bool AttemptFiles::is_forgotten() const { return access(path("forgotten").c_str(), F_OK) == 0; }

Result<Manifest> AttemptFiles::read_manifest() const {
  const auto text = read_file(path("manifest.json"));
  if (!text) return fail(text.error());
  try {
    Manifest manifest = decode(Json::parse(*text));
    if (is_attempt_name(manifest.attempt) && manifest.log_segment_bytes > 0) return manifest;
    return fail(ErrorCode::kCorrupt, fmt::format("{} names no attempt", path("manifest.json")));
  } catch (const Json::exception& problem) {
    return fail(ErrorCode::kCorrupt, fmt::format("{}: {}", path("manifest.json"), problem.what()));
  }
}

std::optional<LaunchSpec> AttemptFiles::read_launch(const Manifest& manifest) const {
  const Json json = read_json(path("launch.json"));
  if (!json.is_object()) return std::nullopt;
  auto spec = codec::decode_job_spec(json);
  if (!spec) return std::nullopt;
  LaunchSpec launch{manifest.attempt, manifest.epoch, manifest.job_number, manifest.user, *std::move(spec), {}};
  for (const auto& gpu : manifest.gpu_uuids) launch.gpu_uuids.emplace_back(gpu);
  launch.gpu_slots = manifest.gpu_slots;
  return launch;
}

std::optional<Started> AttemptFiles::read_started() const {
  return decode_record(read_json(path("started.json")), [](const Json& json) {
    return Started{value_of(json, "shim_pid", 0), value_of(json, "shim_start_ticks", std::uint64_t{0}),
                   value_of(json, "shim_serial", std::uint64_t{0})};
  });
}

std::optional<RunningNote> AttemptFiles::read_running() const {
  return decode_record(read_json(path("running")), [](const Json& json) {
    return RunningNote{value_of(json, "pid", 0), value_of(json, "start_ticks", std::uint64_t{0}), value_of(json, "session", 0),
                       value_of(json, "limit_at_boot_ms", std::int64_t{0}), value_of(json, "serial", std::uint64_t{0})};
  });
}

std::optional<StopRecord> AttemptFiles::read_stop() const {
  return decode_record(read_json(path("stop.json")), [](const Json& json) {
    return StopRecord{value_of<std::string>(json, "reason", "user_cancel")};
  });
}

std::optional<ExitRecord> AttemptFiles::read_exit() const {
  return decode_record(read_json(path("exit.json")), [](const Json& json) {
    ExitRecord record;
    record.complete = value_of(json, "complete", false);
    record.exit_code = optional_number(json, "exit_code");
    record.signal = optional_number(json, "signal");
    record.core_dumped = value_of(json, "core_dumped", false);
    record.cause = value_of<std::string>(json, "cause", "self");
    record.step = parse_step(value_of<std::string>(json, "step", "none"));
    record.error = value_of(json, "error", 0);
    record.started_us = value_of(json, "started_us", std::int64_t{0});
    record.ended_us = value_of(json, "ended_us", std::int64_t{0});
    record.stdout_dropped_bytes = value_of(json, "stdout_dropped_bytes", std::uint64_t{0});
    record.stderr_dropped_bytes = value_of(json, "stderr_dropped_bytes", std::uint64_t{0});
    record.checkpoint = parse_checkpoint(value_of<std::string>(json, "checkpoint", "none"));
    record.checkpoint_status = value_of(json, "checkpoint_status", 0);
    record.early_signal_reached = value_of(json, "early_signal_reached", -1);
    record.survivors = value_of(json, "survivors", std::vector<pid_t>{});
    return record;
  });
}

std::int64_t AttemptFiles::read_lease() const {
  const auto text = read_file(path("lease"));
  return text ? std::strtoll(text->c_str(), nullptr, 10) : 0;
}

ExitStatus exit_status_of(const ExitRecord& record, const Manifest& manifest) {
  ExitStatus status;
  status.cause = parse_exit_cause(record.cause).value_or(ExitCause::kSelf);
  if (record.step != LaunchStep::kNone) {
    // An order to stop that came first keeps its word; the message still says that nothing was executed.
    const bool never_tried = record.step == LaunchStep::kGate || record.step == LaunchStep::kShim;
    if (status.cause == ExitCause::kSelf || status.cause == ExitCause::kLaunch)
      status.cause = never_tried ? ExitCause::kNotStarted : ExitCause::kLaunch;
    status.message = describe_launch_failure(record, manifest);
    return status;
  }
  status.exit_code = record.exit_code;
  status.signal = record.signal;
  status.core_dumped = record.core_dumped;
  std::vector<std::string> remarks;
  if (record.early_signal_reached >= 0)
    remarks.push_back(fmt::format("its early signal reached {} processes", record.early_signal_reached));
  if (const std::string checkpoint = describe_checkpoint(record); !checkpoint.empty()) remarks.push_back(checkpoint);
  if (const auto dropped = record.stdout_dropped_bytes + record.stderr_dropped_bytes; dropped > 0)
    remarks.push_back(fmt::format("{} bytes of its output were dropped", dropped));
  status.message = fmt::format("{}", fmt::join(remarks, "; "));
  return status;
}

bool is_attempt_name(const AttemptId& attempt) {
  const std::string& job = attempt.job.str();
  return attempt.n > 0 && !job.empty() && job.size() <= 64 && std::all_of(job.begin(), job.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

std::optional<AttemptId> parse_attempt_name(const std::string& name) {
  const auto dot = name.rfind('.');
  if (dot == std::string::npos || dot == 0 || dot + 1 == name.size()) return std::nullopt;
  char* end = nullptr;
  const long n = std::strtol(name.c_str() + dot + 1, &end, 10);
  if (*end != 0 || n <= 0) return std::nullopt;
  return AttemptId{JobId(name.substr(0, dot)), static_cast<int>(n)};
}

}  // namespace aether::executor
