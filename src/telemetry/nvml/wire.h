#pragma once
// The language between an agent and its NVML worker: one frame per packet of a SOCK_SEQPACKET pair, little-endian, every
// length and count bounded. Either side refuses what does not decode as a whole; nothing here trusts the other side.
//   frame = version u8, kind u8, seq u32, body
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "telemetry/gpu_driver.h"

namespace aether::nvml::wire {

inline constexpr std::uint8_t kVersion = 1;
inline constexpr std::size_t kMaxFrameBytes = 128 * 1024;
inline constexpr std::size_t kMaxGpus = 64;
inline constexpr std::size_t kMaxProcesses = 4096;  // of one GPU; more are left out
inline constexpr std::size_t kMaxMigInstances = 64;
inline constexpr std::size_t kMaxTextBytes = 1024;

// ---- agent -> worker ----

struct EnumerateRequest {
  // The GPUs to attach by bus id; empty: all the library counts. With GPUs left out that is the way past them, since
  // asking for one by index already touches it.
  std::vector<std::string> bus_ids;
  std::vector<std::uint32_t> skip_indexes;  // when counting
  friend bool operator==(const EnumerateRequest&, const EnumerateRequest&) = default;
};
struct ReadRequest {
  GpuUuid gpu_uuid;
  ReadTier tier = ReadTier::kState;
  friend bool operator==(const ReadRequest&, const ReadRequest&) = default;
};

// ---- worker -> agent ----

struct EnumeratedReply {
  std::string driver_version;
  std::vector<GpuInfo> gpus;
  friend bool operator==(const EnumeratedReply&, const EnumeratedReply&) = default;
};
struct ReadingReply {
  GpuSample sample;  // without node, sample_seq and sample_time
  GpuDetail detail;
  Mono read_at;      // just before the library was asked
};
struct FailedReply {
  Error error;
};
// Not asked for. Before each GPU that an enumeration touches, so that a hang there has a name.
struct AttachingNote {
  std::uint32_t gpu_index = 0;
  std::string bus_id;  // empty while unknown
  friend bool operator==(const AttachingNote&, const AttachingNote&) = default;
};

using Body = std::variant<EnumerateRequest, ReadRequest, EnumeratedReply, ReadingReply, FailedReply, AttachingNote, GpuEvent>;
struct Frame {
  std::uint32_t seq = 0;  // of the request; 0 in notes and events
  Body body;
};

std::string encode(const Frame& frame);
// kCorrupt: not a frame of ours.
Result<Frame> decode(std::string_view bytes);

}  // namespace aether::nvml::wire
