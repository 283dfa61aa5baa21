#include "executor/posix/journal.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/files.h"

namespace aether::executor {
namespace {

using Json = nlohmann::json;

Json read_json(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return {};
  Json json = Json::parse(*text, nullptr, false);
  return json.is_object() ? json : Json();
}

// A UUID comes from the network; a path is made of letters that mean nothing to the file system.
std::string file_name_of(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    if (plain) name.push_back(c);
    else name += fmt::format("_{:02x}", static_cast<unsigned char>(c));
  }
  return name;
}

constexpr int kFenceVersion = 2;

// Throws for what a fence never says.
FenceMark decode_mark(const Json& json) {
  return {json.at("epoch").get<Epoch>(), parse_attempt_name(json.at("attempt").get<std::string>()).value()};
}

// Absent when the file is, when it is torn, and when a field is not what it should be.
std::optional<GpuFence> read_fence(const std::string& path) {
  const Json json = read_json(path);
  if (!json.is_object()) return std::nullopt;
  try {
    GpuFence fence;
    const auto raise = [&](int slot, const FenceMark& mark) { fence.raise(slot, mark.epoch, mark.attempt); };
    if (json.value("v", 1) < 2) raise(kWholeGpu, decode_mark(json));
    else
      for (const Json& mark : json.at("slots")) raise(mark.at("slot").get<int>(), decode_mark(mark));
    return fence;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

Json encode_fence(const GpuUuid& gpu, const GpuFence& fence) {
  const FenceMark highest = fence.highest();
  Json json = {{"v", kFenceVersion}, {"gpu_uuid", gpu.str()}, {"epoch", highest.epoch}, {"attempt", to_string(highest.attempt)}};
  for (const auto& [slot, mark] : fence.marks())  // by slot: the one of the whole GPU is read first
    json["slots"].push_back({{"slot", slot}, {"epoch", mark.epoch}, {"attempt", to_string(mark.attempt)}});
  return json;
}

std::optional<Tombstone> decode_tombstone(const Json& json) try {
  if (!json.is_object()) return std::nullopt;
  Tombstone tombstone;
  tombstone.attempt = {JobId(json.value("job", "")), json.value("attempt", 0)};
  tombstone.epoch = json.value("epoch", Epoch{0});
  tombstone.reason = json.value("reason", "user_cancel");
  tombstone.time_us = json.value("time_us", std::int64_t{0});
  tombstone.forgotten = json.value("forgotten", false);
  return tombstone.attempt.n > 0 ? std::optional(tombstone) : std::nullopt;
} catch (const Json::exception&) {
  return std::nullopt;
}

std::vector<std::filesystem::path> files_of(const std::string& directory) {
  std::error_code error;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  return files;
}

}  // namespace

AttemptReport report_of(const Tombstone& tombstone) {
  ExitStatus exit;
  exit.cause = parse_exit_cause(tombstone.reason).value_or(ExitCause::kUserCancel);
  exit.message = "stopped before it was started";
  return {tombstone.attempt, tombstone.epoch, terminal_state(exit), {}, from_unix_us(tombstone.time_us), exit};
}

Result<Journal> Journal::open(const std::string& directory) {
  AETHER_TRY(make_private_directory(directory + "/fences"));
  AETHER_TRY(make_private_directory(directory + "/tombstones"));
  return Journal(directory);
}

std::string Journal::fence_path(const GpuUuid& gpu) const {
  return directory_ + "/fences/" + file_name_of(gpu.str()) + ".json";
}
std::string Journal::tombstone_path(const AttemptId& attempt) const {
  return directory_ + "/tombstones/" + file_name_of(to_string(attempt)) + ".json";
}

Result<GpuFence> Journal::read_fence_of(const GpuUuid& gpu) const {
  if (auto fence = read_fence(fence_path(gpu))) return *std::move(fence);
  // Absent is fine; a file that can't be read is not: the promise it kept is unknown.
  if (std::error_code error; std::filesystem::exists(fence_path(gpu), error))
    return fail(ErrorCode::kConflict, fmt::format("STALE_EPOCH: the fence of GPU {} can't be read; remove {} once no "
                                                  "job uses that GPU", gpu.str(), fence_path(gpu)));
  return GpuFence{};
}

Result<void> Journal::check_fence(const GpuUuid& gpu, int slot, Epoch epoch, const AttemptId& attempt) const {
  const auto fence = read_fence_of(gpu);
  if (!fence) return fail(fence.error());
  const auto obstacle = fence->find_obstacle(slot, epoch, attempt);
  if (!obstacle) return {};
  return fail(ErrorCode::kConflict,
              fmt::format("STALE_EPOCH: GPU {} has seen epoch {} of {}, and {} comes with {}", gpu.str(), obstacle->epoch,
                          to_string(obstacle->attempt), to_string(attempt), epoch));
}

Result<void> Journal::raise_fence(const GpuUuid& gpu, int slot, Epoch epoch, const AttemptId& attempt) {
  auto fence = read_fence_of(gpu);
  if (!fence) return fail(fence.error());
  fence->raise(slot, epoch, attempt);
  return write_file_durably(fence_path(gpu), encode_fence(gpu, *fence).dump() + "\n");
}

Epoch Journal::find_epoch(const AttemptId& attempt) const {
  Epoch found = 0;
  for (const auto& path : files_of(directory_ + "/fences"))
    if (const auto fence = read_fence(path.string()))
      for (const auto& [slot, mark] : fence->marks())
        if (mark.attempt == attempt) found = std::max(found, mark.epoch);
  return found;
}

std::optional<Tombstone> Journal::find_tombstone(const AttemptId& attempt) const {
  return decode_tombstone(read_json(tombstone_path(attempt)));
}

Result<void> Journal::write_tombstone(const Tombstone& tombstone) {
  const Json json = {{"job", tombstone.attempt.job.str()}, {"attempt", tombstone.attempt.n},
                     {"epoch", tombstone.epoch},           {"reason", tombstone.reason},
                     {"time_us", tombstone.time_us},       {"forgotten", tombstone.forgotten}};
  return write_file_durably(tombstone_path(tombstone.attempt), json.dump() + "\n");
}

std::vector<Tombstone> Journal::tombstones() const {
  std::vector<Tombstone> found;
  for (const auto& path : files_of(directory_ + "/tombstones"))
    if (const auto tombstone = decode_tombstone(read_json(path.string()))) found.push_back(*tombstone);
  return found;
}

void Journal::remove_tombstones_before(std::int64_t time_us) {
  for (const auto& path : files_of(directory_ + "/tombstones")) {
    const auto tombstone = decode_tombstone(read_json(path.string()));
    std::error_code error;
    if (tombstone && tombstone->forgotten && tombstone->time_us < time_us) std::filesystem::remove(path, error);
  }
}

}  // namespace aether::executor
