#pragma once
// Readings of all GPUs as binary columns ("columns-v1"): little-endian frames that a browser views as typed arrays
// without a copy. A full frame has one row per slot; a delta lists the slots that changed since the frame it builds on.
// Slots are the positions of the GPUs in order of their UUID; `inventory` is the version of that order. One owner
// thread; frames are shared among all clients.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "orchestrator/control.h"

namespace aether::api {

// One GPU as it travels. All ones: no reading.
struct ColumnRow {
  std::uint16_t power_draw_w = 0xffff;
  std::uint8_t utilization_gpu = 0xff;  // %
  std::uint8_t memory_used = 0xff;      // 1/250 of memory_total_mb
  std::uint8_t temperature_c = 0xff;
  std::uint8_t clock_sm = 0xff;  // 16 MHz
  std::uint8_t state = 0;        // state_code()
  friend bool operator==(const ColumnRow&, const ColumnRow&) = default;
};

// 0 no data, 1 free, 2 working, 3 idle, 4 throttling, 5 slow, 6 out, 7 lost, 8 quarantined.
std::uint8_t state_code(GpuState state);
ColumnRow column_row(const GpuView& gpu);

class Columns {
 public:
  using SharedBytes = std::shared_ptr<const std::string>;

  explicit Columns(std::uint32_t epoch = 1) : epoch_(epoch) {}

  // Takes the slots' order from `view`; true when it differs from before. Readings then are those of the view.
  bool update_inventory(const ClusterView& view);
  // New readings under the number `seq`, which grows from call to call.
  void update_readings(const ClusterView& view, Time now, std::uint64_t seq);

  std::uint32_t epoch() const { return epoch_; }
  std::uint32_t inventory() const { return inventory_; }
  std::uint64_t seq() const { return seq_; }  // 0: no readings yet
  // From `held` to seq(); null when the delta does not build on `held`.
  SharedBytes delta(std::uint64_t held) const;
  SharedBytes full() const;

 private:
  enum class Kind : std::uint8_t { kFull = 1, kDelta = 2 };
  std::string encode(Kind kind, const std::vector<std::uint32_t>& slots) const;

  const std::uint32_t epoch_;
  std::uint32_t inventory_ = 0;
  std::vector<GpuUuid> order_;
  std::vector<ColumnRow> rows_;
  Time time_;
  std::uint64_t prev_ = 0, seq_ = 0;
  SharedBytes delta_;
  mutable SharedBytes full_;
};

}  // namespace aether::api
