#include "telemetry/nvml/wire.h"

#include <gtest/gtest.h>

namespace aether::nvml::wire {
namespace {

ReadingReply full_reading() {
  ReadingReply reply;
  double value = 1;
  for (const GpuMetric& metric : gpu_metrics()) metric.set(reply.sample, value++);
  reply.sample.gpu_uuid = GpuUuid("GPU-1");
  reply.sample.gpu_index = 3;
  reply.sample.gpu_name = "a name";
  reply.sample.performance_state = "P2";
  reply.sample.throttling_reasons = throttling_reasons_text(*reply.sample.throttling_reasons_mask);
  reply.sample.xid_last_time = from_unix_us(1'700'000'000'000'000);
  reply.sample.processes = {{11, 22}, {33, std::nullopt}};
  for (const GpuDetailName& name : gpu_detail_names()) reply.detail.set(name.field, value++);
  reply.detail.serial = "S";
  reply.detail.vbios_version = "V";
  reply.detail.fast_at = Mono(Duration(7));
  reply.detail.mig = {{"MIG-1", "1g.10gb", 7, 0, 5, 6, 1.5, std::nullopt, 2.5, 3.5}};
  reply.read_at = Mono(Duration(99));
  return reply;
}

std::vector<Frame> all_frames() {
  GpuInfo info;
  info.gpu_uuid = GpuUuid("GPU-1");
  info.gpu_name = "n";
  info.gpu_pci_bus_id = "00000000:0A:00.0";
  info.memory_total_mb = 81559;
  info.power_limit_w = 700;
  info.gpu_architecture = "hopper";
  return {{1, EnumerateRequest{{"00000000:0A:00.0"}, {3, 4}}},
          {2, ReadRequest{GpuUuid("GPU-1"), ReadTier::kFast}},
          {3, EnumeratedReply{"570.1", {info, info}}},
          {4, full_reading()},
          {5, FailedReply{{ErrorCode::kNotFound, "gone"}}},
          {0, AttachingNote{2, "x"}},
          {0, GpuEvent{GpuUuid("GPU-1"), GpuEvent::Kind::kXid, 79, from_unix_us(5)}}};
}

TEST(NvmlWire, EveryFrameComesBackAsItWas) {
  for (const Frame& frame : all_frames()) {
    const std::string bytes = encode(frame);
    const auto back = decode(bytes);
    ASSERT_TRUE(back) << frame.body.index();
    EXPECT_EQ(back->seq, frame.seq);
    EXPECT_EQ(back->body.index(), frame.body.index());
    EXPECT_EQ(encode(*back), bytes) << frame.body.index();
  }
}

TEST(NvmlWire, ReadingKeepsEveryValue) {
  const ReadingReply sent = full_reading();
  const auto frame = decode(encode({1, sent}));
  ASSERT_TRUE(frame);
  const auto& got = std::get<ReadingReply>(frame->body);
  EXPECT_EQ(got.sample, sent.sample);
  for (const GpuDetailName& name : gpu_detail_names()) EXPECT_EQ(got.detail.get(name.field), sent.detail.get(name.field)) << name.name;
  EXPECT_EQ(got.detail.mig, sent.detail.mig);
  EXPECT_EQ(got.detail.serial, "S");
  EXPECT_EQ(got.detail.fast_at, sent.detail.fast_at);
  EXPECT_EQ(got.read_at, sent.read_at);
}

TEST(NvmlWire, CutOrLengthenedFramesAreRefused) {
  for (const Frame& frame : all_frames()) {
    const std::string bytes = encode(frame);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(decode(std::string_view(bytes).substr(0, size))) << frame.body.index() << " cut to " << size;
    EXPECT_FALSE(decode(bytes + '\0'));
  }
}

TEST(NvmlWire, ImpossibleNumbersAreRefused) {
  for (const double bad : {std::nan(""), HUGE_VAL, -5.0, 1e30}) {
    ReadingReply reply = full_reading();
    reply.sample.power_draw_w = bad;
    EXPECT_FALSE(decode(encode({1, reply}))) << bad;
  }
}

TEST(NvmlWire, LongestListsFitOnePacket) {
  ReadingReply reply = full_reading();
  reply.sample.processes->assign(10 * kMaxProcesses, {4'000'000, 80'000});
  for (auto* text : {&reply.detail.serial, &reply.detail.vbios_version}) text->assign(10 * kMaxTextBytes, 'x');
  const std::string bytes = encode({1, reply});
  EXPECT_LE(bytes.size(), kMaxFrameBytes);
  const auto back = decode(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(std::get<ReadingReply>(back->body).sample.processes->size(), kMaxProcesses);
}

}  // namespace
}  // namespace aether::nvml::wire
