#include "telemetry/nvml/process_list.h"

#include <cstring>

#include <gtest/gtest.h>

#include "telemetry/nvml/return_code.h"

namespace aether::nvml {
namespace {

struct Entry {
  std::uint32_t pid;
  std::uint64_t memory_bytes = 512ull << 20;
  std::uint32_t gpu_instance = 0xFFFFFFFF;
  std::uint32_t compute_instance = 0xFFFFFFFF;
};

// As a library with entries of `stride` bytes leaves the buffer; padding is zero.
std::vector<std::byte> written(const std::vector<Entry>& entries, std::size_t stride) {
  std::vector<std::byte> buffer(48 * (entries.size() + 16), kPoison);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    std::byte* at = buffer.data() + i * stride;
    std::memset(at, 0, stride);
    std::memcpy(at, &entries[i].pid, 4);
    std::memcpy(at + 8, &entries[i].memory_bytes, 8);
    std::memcpy(at + 16, &entries[i].gpu_instance, 4);
    std::memcpy(at + 20, &entries[i].compute_instance, 4);
  }
  return buffer;
}

TEST(ProcessList, EveryStrideGivesTheTruePids) {
  for (std::size_t stride : {24, 32, 40})
    for (std::uint32_t count : {1u, 2u, 3u, 7u, 40u}) {
      std::vector<Entry> entries;
      for (std::uint32_t i = 0; i < count; ++i) entries.push_back({1184 + i});
      const auto processes = parse_process_list(written(entries, stride), count);
      ASSERT_TRUE(processes) << stride << " x " << count;
      ASSERT_EQ(processes->size(), count);
      for (std::uint32_t i = 0; i < count; ++i) {
        EXPECT_EQ((*processes)[i].pid, static_cast<int>(1184 + i)) << stride;
        EXPECT_EQ((*processes)[i].memory_used_mb, 512);
      }
    }
}

TEST(ProcessList, EmptyListIsAList) {
  const auto processes = parse_process_list(std::vector<std::byte>(48, kPoison), 0);
  ASSERT_TRUE(processes);
  EXPECT_TRUE(processes->empty());
}

TEST(ProcessList, MemoryOfAllOnesIsAbsent) {
  const auto processes = parse_process_list(written({{77, ~0ull}}, 24), 1);
  ASSERT_TRUE(processes);
  EXPECT_FALSE(processes->front().memory_used_mb);
}

TEST(ProcessList, NonsenseIsNoList) {
  EXPECT_FALSE(parse_process_list(written({{0}}, 24), 1));
  EXPECT_FALSE(parse_process_list(written({{4294967295}}, 24), 1));
  EXPECT_FALSE(parse_process_list(written({{77, 0, 70000}}, 24), 1));
  EXPECT_FALSE(parse_process_list(written({{77}}, 48), 1));                        // an unknown entry size
  EXPECT_FALSE(parse_process_list(written({{77}, {78}}, 24), 1));                  // more written than counted
  EXPECT_FALSE(parse_process_list(written({{77}}, 24), 2));                        // less
  EXPECT_FALSE(parse_process_list(std::vector<std::byte>(96, kPoison), 1));        // nothing
}

std::uint32_t running = 0;
int calls = 0;

Return many(DeviceHandle, std::uint32_t* count, void* entries) {
  ++calls;
  const std::uint32_t room = *count;
  *count = running;
  if (room < running) return kInsufficientSize;
  for (std::uint32_t i = 0; i < running; ++i) {
    const std::vector<std::byte> one = written({{i + 1}}, 24);
    std::memcpy(static_cast<std::byte*>(entries) + i * 24, one.data(), 24);
  }
  return kSuccess;
}

TEST(ProcessLister, GrowsOnceAndKeepsItsRoom) {
  ProcessLister lister;
  std::optional<std::vector<GpuProcess>> found;
  running = 100;
  calls = 0;
  EXPECT_EQ(lister.list(&many, nullptr, found), kSuccess);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->size(), 100u);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(lister.list(&many, nullptr, found), kSuccess);
  EXPECT_EQ(calls, 3);
}

TEST(ProcessLister, NotFoundMeansNoProcess) {
  ProcessLister lister;
  std::optional<std::vector<GpuProcess>> found;
  EXPECT_EQ(lister.list([](DeviceHandle, std::uint32_t*, void*) { return kNotFound; }, nullptr, found), kSuccess);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->empty());
}

TEST(ProcessLister, EndlessGrowthGivesUp) {
  ProcessLister lister;
  std::optional<std::vector<GpuProcess>> found;
  const auto growing = [](DeviceHandle, std::uint32_t* count, void*) {
    *count *= 2;
    return kInsufficientSize;
  };
  EXPECT_EQ(lister.list(growing, nullptr, found), kInsufficientSize);
  EXPECT_FALSE(found);
}

}  // namespace
}  // namespace aether::nvml
