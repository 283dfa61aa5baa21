#pragma once
// The processes on a GPU. Drivers 535.43 to 535.86 write entries of 32 or 40 bytes where 24 are declared, so that a
// naive reader sees process ids such as 0 and 4294967295. The buffer is therefore twice as large as asked for and
// poisoned; how far the library wrote tells the size of its entries, and a list that still looks wrong is refused.
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "model/gpu.h"
#include "telemetry/nvml/abi.h"

namespace aether::nvml {

inline constexpr std::byte kPoison{0xA5};

// `buffer` was all kPoison before the library wrote `count` entries. Nothing when the entries make no sense.
std::optional<std::vector<GpuProcess>> parse_process_list(std::span<const std::byte> buffer, std::size_t count);

// Keeps its buffer between calls.
class ProcessLister {
 public:
  using ListCall = Return (*)(DeviceHandle, std::uint32_t* count, void* entries);
  // The library's answer; with success, `found` gets the processes, or stays empty when they make no sense.
  Return list(ListCall call, DeviceHandle device, std::optional<std::vector<GpuProcess>>& found);

 private:
  std::size_t capacity_ = 32;  // entries
  std::vector<std::byte> buffer_;
};

}  // namespace aether::nvml
