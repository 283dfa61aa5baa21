#include "api/columns.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

namespace aether::api {
namespace {

constexpr std::size_t kHeaderBytes = 48;
constexpr std::size_t kColumnBytes = 8;
constexpr std::size_t kAlignment = 4;
constexpr std::uint8_t kTopicGpus = 1;
constexpr std::size_t kWideSlots = 65535;  // from here on a slot takes 32 bits

enum Type : std::uint8_t { kU8 = 1, kU16 = 2, kU32 = 3 };
enum Id : std::uint8_t { kSlot, kUtilization, kMemory, kPower, kTemperature, kClock, kState };

template <class T>
void put(std::string& out, std::size_t at, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out[at + i] = static_cast<char>((value >> (8 * i)) & 0xff);
}

std::size_t aligned(std::size_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

// The nearest whole number within [0, most]; all ones without a reading.
template <class T>
T whole(std::optional<double> value, double most) {
  if (!value || !std::isfinite(*value)) return static_cast<T>(~T{0});
  return static_cast<T>(std::lround(std::clamp(*value, 0.0, most)));
}

struct Column {
  Id id;
  Type type;
  std::uint32_t (*get)(const ColumnRow&);
};
constexpr Column kColumns[] = {
    {kUtilization, kU8, [](const ColumnRow& row) -> std::uint32_t { return row.utilization_gpu; }},
    {kMemory, kU8, [](const ColumnRow& row) -> std::uint32_t { return row.memory_used; }},
    {kPower, kU16, [](const ColumnRow& row) -> std::uint32_t { return row.power_draw_w; }},
    {kTemperature, kU8, [](const ColumnRow& row) -> std::uint32_t { return row.temperature_c; }},
    {kClock, kU8, [](const ColumnRow& row) -> std::uint32_t { return row.clock_sm; }},
    {kState, kU8, [](const ColumnRow& row) -> std::uint32_t { return row.state; }},
};

std::size_t bytes_of(Type type) { return type == kU8 ? 1 : type == kU16 ? 2 : 4; }

void put_value(std::string& out, std::size_t at, Type type, std::uint32_t value) {
  if (type == kU8) return put(out, at, static_cast<std::uint8_t>(value));
  if (type == kU16) return put(out, at, static_cast<std::uint16_t>(value));
  put(out, at, value);
}

}  // namespace

std::uint8_t state_code(GpuState state) {
  switch (state) {
    case GpuState::kNoData: return 0;
    case GpuState::kFree: return 1;
    case GpuState::kBusy: return 2;
    case GpuState::kIdle: return 3;
    case GpuState::kThrottling: return 4;
    case GpuState::kSlow: return 5;
    case GpuState::kOut: return 6;
    case GpuState::kLost: return 7;
    case GpuState::kQuarantined: return 8;
  }
  return 0xff;
}

ColumnRow column_row(const GpuView& gpu) {
  ColumnRow row;
  row.state = state_code(gpu.state);
  if (!gpu.sample) return row;
  const GpuSample& sample = *gpu.sample;
  row.utilization_gpu = whole<std::uint8_t>(sample.utilization_gpu, 100);
  row.power_draw_w = whole<std::uint16_t>(sample.power_draw_w, 65534);
  row.temperature_c = whole<std::uint8_t>(sample.temperature_c, 254);
  if (sample.clock_sm_mhz) row.clock_sm = whole<std::uint8_t>(*sample.clock_sm_mhz / 16, 254);
  if (sample.memory_used_mb && gpu.info.memory_total_mb > 0)
    row.memory_used = whole<std::uint8_t>(
        250.0 * static_cast<double>(*sample.memory_used_mb) / static_cast<double>(gpu.info.memory_total_mb), 250);
  return row;
}

bool Columns::update_inventory(const ClusterView& view) {
  const bool is_same = inventory_ > 0 && order_.size() == view.gpus.size() &&
                       std::equal(order_.begin(), order_.end(), view.gpus.begin(),
                                  [](const GpuUuid& uuid, const auto& entry) { return uuid == entry.first; });
  if (is_same) return false;
  ++inventory_;
  order_.clear();
  rows_.clear();
  for (const auto& [uuid, gpu] : view.gpus) {
    order_.push_back(uuid);
    rows_.push_back(column_row(gpu));
  }
  delta_.reset();
  full_.reset();
  return true;
}

void Columns::update_readings(const ClusterView& view, Time now, std::uint64_t seq) {
  const bool is_new_order = update_inventory(view);
  std::vector<std::uint32_t> changed;
  std::uint32_t slot = 0;
  for (const auto& [uuid, gpu] : view.gpus) {
    const ColumnRow row = column_row(gpu);
    if (row != rows_[slot]) {
      rows_[slot] = row;
      changed.push_back(slot);
    }
    ++slot;
  }
  time_ = now;
  prev_ = seq_;
  seq_ = seq;
  full_.reset();
  delta_.reset();
  if (prev_ != 0 && !is_new_order) delta_ = std::make_shared<const std::string>(encode(Kind::kDelta, changed));
}

Columns::SharedBytes Columns::delta(std::uint64_t held) const { return held == prev_ ? delta_ : nullptr; }

Columns::SharedBytes Columns::full() const {
  if (full_) return full_;
  std::vector<std::uint32_t> all(rows_.size());
  for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  full_ = std::make_shared<const std::string>(encode(Kind::kFull, all));
  return full_;
}

std::string Columns::encode(Kind kind, const std::vector<std::uint32_t>& slots) const {
  const bool with_slots = kind == Kind::kDelta;
  const Type slot_type = rows_.size() >= kWideSlots ? kU32 : kU16;
  const std::size_t columns = std::size(kColumns) + (with_slots ? 1 : 0);
  const std::size_t head = kHeaderBytes + kColumnBytes * columns;
  std::size_t size = head + (with_slots ? aligned(slots.size() * bytes_of(slot_type)) : 0);
  for (const Column& column : kColumns) size += aligned(slots.size() * bytes_of(column.type));
  std::string out(size, '\0');
  std::memcpy(out.data(), "AEC1", 4);
  put(out, 4, static_cast<std::uint8_t>(kind));
  put(out, 5, kTopicGpus);
  put(out, 6, static_cast<std::uint16_t>(columns));
  put(out, 8, epoch_);
  put(out, 12, inventory_);
  put(out, 16, kind == Kind::kDelta ? prev_ : std::uint64_t{0});
  put(out, 24, seq_);
  put(out, 32, std::bit_cast<std::uint64_t>(static_cast<double>(to_unix_us(time_)) / 1000.0));
  put(out, 40, static_cast<std::uint32_t>(slots.size()));
  std::size_t entry = kHeaderBytes, at = head;
  const auto begin_column = [&](Id id, Type type) {
    put(out, entry, static_cast<std::uint8_t>(id));
    put(out, entry + 1, static_cast<std::uint8_t>(type));
    put(out, entry + 4, static_cast<std::uint32_t>(at));
    entry += kColumnBytes;
  };
  if (with_slots) {
    begin_column(kSlot, slot_type);
    for (std::size_t i = 0; i < slots.size(); ++i) put_value(out, at + i * bytes_of(slot_type), slot_type, slots[i]);
    at += aligned(slots.size() * bytes_of(slot_type));
  }
  for (const Column& column : kColumns) {
    begin_column(column.id, column.type);
    const std::size_t width = bytes_of(column.type);
    for (std::size_t i = 0; i < slots.size(); ++i)
      put_value(out, at + i * width, column.type, column.get(rows_[slots[i]]));
    at += aligned(slots.size() * width);
  }
  return out;
}

}  // namespace aether::api
