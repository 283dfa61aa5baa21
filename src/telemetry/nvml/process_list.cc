#include "telemetry/nvml/process_list.h"

#include <algorithm>
#include <cstring>

#include "telemetry/nvml/return_code.h"
#include "telemetry/nvml/values.h"

namespace aether::nvml {
namespace {

constexpr std::size_t kSlack = 16;            // processes may start between two calls
constexpr std::size_t kMaxProcesses = 16384;
constexpr std::uint32_t kHighestPid = 1u << 22;  // PID_MAX_LIMIT of Linux on 64 bits
constexpr std::uint32_t kNoInstance = 0xFFFFFFFF;
constexpr std::uint32_t kHighestInstance = 255;

template <class T>
T read_at(std::span<const std::byte> buffer, std::size_t offset) {
  T value;
  std::memcpy(&value, buffer.data() + offset, sizeof value);
  return value;
}

bool is_instance(std::uint32_t id) { return id == kNoInstance || id <= kHighestInstance; }

std::optional<std::vector<GpuProcess>> parse_with_stride(std::span<const std::byte> buffer, std::size_t count,
                                                         std::size_t stride) {
  std::vector<GpuProcess> out;
  for (std::size_t at = 0; at < count * stride; at += stride) {
    const auto pid = read_at<std::uint32_t>(buffer, at + kProcessPidOffset);
    if (pid == 0 || pid > kHighestPid) return std::nullopt;
    if (!is_instance(read_at<std::uint32_t>(buffer, at + kProcessGpuInstanceOffset)) ||
        !is_instance(read_at<std::uint32_t>(buffer, at + kProcessComputeInstanceOffset)))
      return std::nullopt;
    const auto memory_bytes = read_at<std::uint64_t>(buffer, at + kProcessMemoryOffset);
    out.push_back({static_cast<int>(pid), mebibytes_of_bytes(memory_bytes)});
  }
  return out;
}

}  // namespace

std::optional<std::vector<GpuProcess>> parse_process_list(std::span<const std::byte> buffer, std::size_t count) {
  if (count == 0) return std::vector<GpuProcess>{};
  std::size_t written = buffer.size();
  while (written > 0 && buffer[written - 1] == kPoison) --written;
  for (const std::size_t stride : {kProcessInfoSize, std::size_t{32}, std::size_t{40}})
    if (count * stride <= buffer.size() && written <= count * stride && written + 8 > count * stride)
      return parse_with_stride(buffer, count, stride);
  return std::nullopt;
}

Return ProcessLister::list(ListCall call, DeviceHandle device, std::optional<std::vector<GpuProcess>>& found) {
  found.reset();
  for (int attempt = 0; attempt < 2; ++attempt) {
    buffer_.assign(2 * capacity_ * kProcessInfoSize, kPoison);
    auto count = static_cast<std::uint32_t>(capacity_);
    const Return code = call(device, &count, buffer_.data());
    if (code == kNotFound) {  // no process, in this library's words
      found.emplace();
      return kSuccess;
    }
    if (code == kInsufficientSize && attempt == 0 && count <= kMaxProcesses) {
      capacity_ = std::max<std::size_t>(count, capacity_) + kSlack;
      continue;
    }
    if (code == kSuccess && count <= capacity_) found = parse_process_list(buffer_, count);
    return code;
  }
  return kInsufficientSize;
}

}  // namespace aether::nvml
