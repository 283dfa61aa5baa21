#include "api/columns.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <nlohmann/json.hpp>

#include "api/fake_control.h"
#include "base/files.h"
#include "base/rng.h"

namespace aether::api {
namespace {

std::uint64_t read_le(const std::string& bytes, std::size_t at, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i)
    value |= std::uint64_t{static_cast<unsigned char>(bytes.at(at + i))} << (8 * i);
  return value;
}

// A reader that knows the table of the format and nothing of the writer.
struct Frame {
  int kind = 0;
  std::uint64_t epoch = 0, inventory = 0, prev = 0, seq = 0, rows = 0;
  double time_ms = 0;
  std::map<int, std::vector<std::uint64_t>> columns;

  explicit Frame(const std::string& bytes) {
    EXPECT_EQ(bytes.substr(0, 4), "AEC1");
    kind = static_cast<int>(read_le(bytes, 4, 1));
    EXPECT_EQ(read_le(bytes, 5, 1), 1u);
    epoch = read_le(bytes, 8, 4);
    inventory = read_le(bytes, 12, 4);
    prev = read_le(bytes, 16, 8);
    seq = read_le(bytes, 24, 8);
    time_ms = std::bit_cast<double>(read_le(bytes, 32, 8));
    rows = read_le(bytes, 40, 4);
    EXPECT_EQ(read_le(bytes, 44, 4), 0u);
    for (std::size_t c = 0; c < read_le(bytes, 6, 2); ++c) {
      const std::size_t entry = 48 + 8 * c;
      const std::size_t width = std::size_t{1} << (read_le(bytes, entry + 1, 1) - 1);
      const std::size_t offset = read_le(bytes, entry + 4, 4);
      EXPECT_EQ(offset % 4, 0u);
      auto& column = columns[static_cast<int>(read_le(bytes, entry, 1))];
      for (std::size_t row = 0; row < rows; ++row) column.push_back(read_le(bytes, offset + row * width, width));
    }
  }
};

void set_sample(FakeControl& control, int gpu, double busy, std::int64_t memory_mb, double power, double temperature,
                double clock) {
  control.publish([&](ClusterView& view) {
    GpuSample sample;
    sample.utilization_gpu = busy;
    sample.memory_used_mb = memory_mb;
    sample.power_draw_w = power;
    sample.temperature_c = temperature;
    sample.clock_sm_mhz = clock;
    GpuView& shown = view.gpus[GpuUuid(fmt::format("GPU-{}", gpu))];
    shown.sample = std::make_shared<const GpuSample>(sample);
    shown.state = busy > 5 ? GpuState::kBusy : GpuState::kFree;
  });
}

std::string hex(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

TEST(Columns, CarryEveryReadingInItsUnit) {
  FakeControl control;
  for (int i = 0; i < 3; ++i) control.add_gpu(i);
  set_sample(control, 1, 63.4, 81559 / 2, 412.6, 71.2, 1755);
  Columns columns(9);
  columns.update_readings(*control.view(), from_unix_us(1'700'000'000'250'000), 17);
  const Frame frame(*columns.full());
  EXPECT_EQ(frame.kind, 1);
  EXPECT_EQ(frame.epoch, 9u);
  EXPECT_EQ(frame.inventory, 1u);
  EXPECT_EQ(frame.seq, 17u);
  EXPECT_EQ(frame.time_ms, 1'700'000'000'250.0);
  EXPECT_EQ(frame.rows, 3u);
  EXPECT_FALSE(frame.columns.contains(0));
  EXPECT_EQ(frame.columns.at(1), (std::vector<std::uint64_t>{255, 63, 255}));
  EXPECT_EQ(frame.columns.at(2), (std::vector<std::uint64_t>{255, 125, 255}));
  EXPECT_EQ(frame.columns.at(3), (std::vector<std::uint64_t>{65535, 413, 65535}));
  EXPECT_EQ(frame.columns.at(4), (std::vector<std::uint64_t>{255, 71, 255}));
  EXPECT_EQ(frame.columns.at(5), (std::vector<std::uint64_t>{255, 110, 255}));
  EXPECT_EQ(frame.columns.at(6), (std::vector<std::uint64_t>{1, 2, 1}));
}

TEST(Columns, AReadingBeyondItsColumnIsItsLargestValueAndNeverMissing) {
  FakeControl control;
  control.add_gpu(0);
  set_sample(control, 0, 140, 200000, 90000, 400, 90000);
  Columns columns;
  columns.update_readings(*control.view(), control.view()->at, 1);
  const Frame frame(*columns.full());
  EXPECT_EQ(frame.columns.at(1)[0], 100u);
  EXPECT_EQ(frame.columns.at(2)[0], 250u);
  EXPECT_EQ(frame.columns.at(3)[0], 65534u);
  EXPECT_EQ(frame.columns.at(4)[0], 254u);
  EXPECT_EQ(frame.columns.at(5)[0], 254u);
}

TEST(Columns, ADeltaListsOnlyWhatChangedInAscendingOrder) {
  FakeControl control;
  for (int i = 0; i < 6; ++i) control.add_gpu(i);
  for (int i = 0; i < 6; ++i) set_sample(control, i, 50, 1000, 300, 60, 1600);
  Columns columns;
  columns.update_readings(*control.view(), control.view()->at, 5);
  EXPECT_EQ(columns.delta(0), nullptr);
  set_sample(control, 4, 51, 1000, 300, 60, 1600);
  set_sample(control, 2, 50, 1000, 301, 60, 1600);
  columns.update_readings(*control.view(), control.view()->at, 8);
  const Frame frame(*columns.delta(5));
  EXPECT_EQ(frame.kind, 2);
  EXPECT_EQ(frame.prev, 5u);
  EXPECT_EQ(frame.seq, 8u);
  EXPECT_EQ(frame.columns.at(0), (std::vector<std::uint64_t>{2, 4}));
  EXPECT_EQ(frame.columns.at(3), (std::vector<std::uint64_t>{301, 300}));
  EXPECT_EQ(columns.delta(4), nullptr);
  columns.update_readings(*control.view(), control.view()->at, 9);
  EXPECT_EQ(Frame(*columns.delta(8)).rows, 0u);
}

TEST(Columns, AnotherSetOfGpusIsAnotherInventory) {
  FakeControl control;
  control.add_gpu(0);
  Columns columns;
  columns.update_readings(*control.view(), control.view()->at, 1);
  EXPECT_FALSE(columns.update_inventory(*control.view()));
  control.add_gpu(1);
  EXPECT_TRUE(columns.update_inventory(*control.view()));
  EXPECT_EQ(columns.inventory(), 2u);
  EXPECT_EQ(Frame(*columns.full()).rows, 2u);
  columns.update_readings(*control.view(), control.view()->at, 2);
  EXPECT_EQ(Frame(*columns.full()).inventory, 2u);
}

TEST(Columns, AFullFrameAndTheDeltasAfterItGiveALaterFullFrame) {
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    Rng rng(seed);
    FakeControl control;
    for (int i = 0; i < 20; ++i) control.add_gpu(i);
    Columns columns;
    columns.update_readings(*control.view(), control.view()->at, 1);
    std::map<int, std::vector<std::uint64_t>> mirror = Frame(*columns.full()).columns;
    for (std::uint64_t seq = 2; seq < 40; ++seq) {
      for (std::uint64_t n = rng.below(5); n > 0; --n)
        set_sample(control, static_cast<int>(rng.below(20)), static_cast<double>(rng.below(101)),
                   static_cast<std::int64_t>(rng.below(80000)), static_cast<double>(rng.below(700)), 50, 1000);
      columns.update_readings(*control.view(), control.view()->at, seq);
      const Frame delta(*columns.delta(seq - 1));
      for (const auto& [id, values] : delta.columns)
        for (std::size_t row = 0; id != 0 && row < values.size(); ++row)
          mirror[id][delta.columns.at(0)[row]] = values[row];
      ASSERT_EQ(mirror, Frame(*columns.full()).columns) << "seed " << seed << " seq " << seq;
    }
  }
}

// The dashboard's decoder reads the same file.
TEST(Columns, AreByteForByteTheExampleOfTheSchema) {
  FakeControl control;
  for (int i = 0; i < 3; ++i) control.add_gpu(i);
  set_sample(control, 0, 97, 40000, 612, 74, 1980);
  set_sample(control, 2, 3, 512, 71.6, 38, 345);
  Columns columns(7);
  columns.update_readings(*control.view(), from_unix_us(1'700'000'000'000'000), 10);
  const std::string full = hex(*columns.full());
  set_sample(control, 2, 88, 30000, 540, 61, 1905);
  columns.update_readings(*control.view(), from_unix_us(1'700'000'001'000'000), 12);
  const std::string delta = hex(*columns.delta(10));
  const auto text = read_file(std::string(AETHER_SCHEMA_DIR) + "/examples/columns_v1.json");
  ASSERT_TRUE(text);
  const auto example = nlohmann::json::parse(*text);
  EXPECT_EQ(full, example["full"].get<std::string>());
  EXPECT_EQ(delta, example["delta"].get<std::string>());
}

}  // namespace
}  // namespace aether::api
