#include "telemetry/simulated/simulated_gpu_driver.h"

#include <algorithm>
#include <thread>

#include "telemetry/contract_test.h"

namespace aether {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class SimulatedSubject final : public GpuDriverSubject {
 public:
  GpuDriver& driver() override { return driver_; }
  void advance_one_second() override { clock_.advance(seconds(1)); }
  // The fourth GPU of this scenario falls off the bus after a minute.
  bool lose_gpu(int gpu_index) override {
    if (gpu_index == 3) clock_.advance(minutes(2));
    return gpu_index == 3;
  }

 private:
  ManualClock clock_;
  SimulatedGpuDriver driver_{parse_simulated("simulated:4,scenario=xid,model=h100+rtx4090").value(), NodeId("n"),
                             clock_};
};

std::unique_ptr<GpuDriverSubject> make_simulated_subject() { return std::make_unique<SimulatedSubject>(); }

INSTANTIATE_TEST_SUITE_P(Simulated, GpuDriverContract, testing::Values(&make_simulated_subject));

class SimulatedGpuDriverTest : public testing::Test {
 protected:
  SimulatedGpuDriver make(std::string_view text, const std::string& node = "node-01") {
    return SimulatedGpuDriver(parse_simulated(text).value(), NodeId(node), clock);
  }
  static GpuSample read(SimulatedGpuDriver& driver, const GpuInfo& gpu) { return driver.read(gpu.gpu_uuid).value(); }

  ManualClock clock;
};

std::vector<GpuUuid> uuids_of(SimulatedGpuDriver& driver) {
  std::vector<GpuUuid> out;
  const std::vector<GpuInfo> gpus = driver.enumerate().value();
  for (const GpuInfo& gpu : gpus) out.push_back(gpu.gpu_uuid);
  return out;
}

TEST_F(SimulatedGpuDriverTest, UuidsBelongToNodeSeedAndIndex) {
  auto one = make("simulated:4,seed=3"), same = make("simulated:8,seed=3"), other_seed = make("simulated:4,seed=4"),
       other_node = make("simulated:4,seed=3", "node-02");
  const auto uuids = uuids_of(one);
  auto longer = uuids_of(same);
  EXPECT_TRUE(uuids.front().str().starts_with("GPU-sim"));
  EXPECT_EQ(uuids.front().str().size(), std::string("GPU-00000000-0000-0000-0000-000000000000").size());
  longer.resize(4);
  EXPECT_EQ(longer, uuids);
  for (const auto& others : {uuids_of(other_seed), uuids_of(other_node)})
    for (const GpuUuid& uuid : others) EXPECT_EQ(std::count(uuids.begin(), uuids.end(), uuid), 0);
}

TEST_F(SimulatedGpuDriverTest, SameSeedGivesTheSameSamples) {
  auto one = make("simulated:3,seed=5"), two = make("simulated:3,seed=5"), other = make("simulated:3,seed=6");
  const auto gpus = one.enumerate().value();
  const auto other_gpus = other.enumerate().value();
  bool differs = false;
  for (auto* driver : {&one, &two})
    driver->set_loads({{gpus[1].gpu_uuid, {JobId("j"), 1}, JobType::kTraining, 0}});
  other.set_loads({{other_gpus[1].gpu_uuid, {JobId("j"), 1}, JobType::kTraining, 0}});
  for (int i = 0; i < 300; ++i) {
    clock.advance(milliseconds(700));
    for (std::size_t g = 0; g < gpus.size(); ++g) {
      const GpuSample sample = read(one, gpus[g]);
      ASSERT_EQ(sample, read(two, gpus[g]));
      if (sample.power_draw_w != read(other, other_gpus[g]).power_draw_w) differs = true;
    }
  }
  EXPECT_TRUE(differs);
}

TEST_F(SimulatedGpuDriverTest, LoadConcernsItsGpuAlone) {
  auto driver = make("simulated:2");
  const auto gpus = driver.enumerate().value();
  driver.set_loads({{gpus[0].gpu_uuid, {JobId("j"), 1}, JobType::kTraining, 30000},
                    {GpuUuid("GPU-elsewhere"), {JobId("k"), 1}, JobType::kTraining, 0}});
  clock.advance(minutes(2));
  const GpuSample busy = read(driver, gpus[0]), free = read(driver, gpus[1]);
  EXPECT_GT(*busy.memory_used_mb, 30000);
  EXPECT_LT(*free.memory_used_mb, 100);
  EXPECT_EQ(free.utilization_gpu, 0);
  EXPECT_EQ(free.throttling_reasons, "gpu_idle");
  driver.set_loads({});
  clock.advance(minutes(1));
  EXPECT_EQ(read(driver, gpus[0]).memory_used_mb, free.memory_used_mb);
}

TEST_F(SimulatedGpuDriverTest, FieldsThatABoardLacksAreAbsent) {
  auto driver = make("simulated:2,model=h100+rtx4090");
  const auto gpus = driver.enumerate().value();
  const GpuSample h100 = read(driver, gpus[0]), rtx4090 = read(driver, gpus[1]);
  EXPECT_FALSE(h100.fan_speed_pct);
  EXPECT_TRUE(h100.ecc_dbe_volatile_total);
  EXPECT_TRUE(h100.temperature_mem_c);
  EXPECT_EQ(h100.performance_state, "P0");
  EXPECT_TRUE(rtx4090.fan_speed_pct);
  EXPECT_FALSE(rtx4090.ecc_dbe_volatile_total);
  EXPECT_FALSE(rtx4090.temperature_mem_c);
  EXPECT_EQ(rtx4090.performance_state, "P8");
  EXPECT_FALSE(h100.processes);  // nobody knows the pids of simulated work
}

TEST_F(SimulatedGpuDriverTest, LoadsMayChangeWhileGpusAreRead) {
  auto driver = make("simulated:2");
  const auto gpus = driver.enumerate().value();
  std::thread agent([&] {
    for (int i = 0; i < 200; ++i)
      driver.set_loads({{gpus[0].gpu_uuid, {JobId("j" + std::to_string(i)), 1}, JobType::kInference, 1000}});
  });
  for (int i = 0; i < 200; ++i) {
    clock.advance(seconds(1));
    EXPECT_TRUE(driver.read(gpus[0].gpu_uuid));
  }
  agent.join();
  clock.advance(minutes(1));
  EXPECT_EQ(read(driver, gpus[0]).memory_used_mb, 1004);
}

TEST_F(SimulatedGpuDriverTest, ScenarioXidShowsTheErrorThenLosesTheGpu) {
  auto driver = make("simulated:4,scenario=xid");
  const auto gpus = driver.enumerate().value();
  const Time start = clock.now();
  clock.advance(seconds(59));
  EXPECT_FALSE(read(driver, gpus[3]).xid_last);
  clock.advance(seconds(2));
  const GpuSample last_words = read(driver, gpus[3]);
  EXPECT_EQ(last_words.xid_last, 79);
  EXPECT_EQ(last_words.xid_last_time, start + seconds(60));
  clock.advance(seconds(3));
  const auto lost = driver.read(gpus[3].gpu_uuid);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(driver.enumerate()->size(), 3u);
}

TEST_F(SimulatedGpuDriverTest, ScenarioHotThrottlesGpuOneUnderLoad) {
  auto driver = make("simulated:3,scenario=hot");
  const auto gpus = driver.enumerate().value();
  std::vector<GpuLoad> loads;
  for (const GpuInfo& gpu : gpus)
    loads.push_back({gpu.gpu_uuid, {JobId("j" + std::to_string(gpu.gpu_index)), 1}, JobType::kTraining, 0});
  driver.set_loads(loads);
  clock.advance(minutes(10));
  EXPECT_TRUE(is_harmful_throttling(*read(driver, gpus[1]).throttling_reasons));
  EXPECT_FALSE(is_harmful_throttling(*read(driver, gpus[0]).throttling_reasons));
  EXPECT_FALSE(is_harmful_throttling(*read(driver, gpus[2]).throttling_reasons));
  EXPECT_GT(*read(driver, gpus[1]).temperature_c, *read(driver, gpus[0]).temperature_c + 5);
}

TEST_F(SimulatedGpuDriverTest, ScenarioEccCountsOnGpuTwoAlone) {
  auto driver = make("simulated:4,scenario=ecc");
  const auto gpus = driver.enumerate().value();
  clock.advance(minutes(2));
  for (const GpuInfo& gpu : gpus)
    EXPECT_EQ(*read(driver, gpu).ecc_dbe_volatile_total > 0, gpu.gpu_index == 2) << gpu.gpu_index;
}

class FaultOfTheMeasurement : public testing::Test {
 protected:
  // One GPU under a training job; the fault is there from the second minute on.
  explicit FaultOfTheMeasurement() {}
  void open(const std::string& fault) {
    SimulatedOptions options{.gpus = 1};
    options.scenario = parse_scenario("[[fault]]\nfrom = \"2m\"\n" + fault, "test").value();
    driver = std::make_unique<SimulatedGpuDriver>(options, NodeId("n"), clock, [this](Duration time) { clock.advance(time); });
    gpu = driver->enumerate()->front().gpu_uuid;
    driver->set_loads({{gpu, {JobId("j"), 1}, JobType::kTraining, 0}});
    clock.advance(seconds(110));
    before = driver->read(gpu).value();
    clock.advance(seconds(60));
  }
  ManualClock clock;
  std::unique_ptr<SimulatedGpuDriver> driver;
  GpuUuid gpu;
  GpuSample before;
};

TEST_F(FaultOfTheMeasurement, MissingValuesAreAbsentAndTheOthersStay) {
  open("kind = \"missing_values\"\nmetrics = [\"power_draw_w\", \"throttling_reasons_mask\"]\n");
  const GpuSample sample = driver->read(gpu).value();
  EXPECT_FALSE(sample.power_draw_w);
  EXPECT_FALSE(sample.throttling_reasons);
  EXPECT_TRUE(sample.temperature_c);
  EXPECT_EQ(sample.performance_state, before.performance_state);
  EXPECT_EQ(sample.gpu_name, before.gpu_name);
}

TEST_F(FaultOfTheMeasurement, StuckValuesStayAndASlowReadingTakesItsTime) {
  open("kind = \"stuck_values\"\n[[fault]]\nkind = \"slow_reads\"\nramp = \"0s\"\nread_ms = 700\n");
  const GpuSample first = driver->read(gpu).value();
  const Mono start = clock.mono();
  EXPECT_EQ(driver->read(gpu).value(), first);
  EXPECT_EQ(clock.mono() - start, milliseconds(700));
}

TEST_F(FaultOfTheMeasurement, ASensorFlapsOrSticksAlone) {
  open("kind = \"flapping_sensor\"\n");
  double low = 200, high = 0;
  for (int i = 0; i < 60; ++i) {
    clock.advance(seconds(1));
    const double shown = *driver->read(gpu)->temperature_c;
    low = std::min(low, shown);
    high = std::max(high, shown);
  }
  EXPECT_GT(high - low, 30);
  open("kind = \"stuck_sensor\"\n");
  const GpuSample one = driver->read(gpu).value();
  driver->set_loads({});
  clock.advance(minutes(5));
  const GpuSample two = driver->read(gpu).value();
  EXPECT_EQ(two.temperature_c, one.temperature_c);
  EXPECT_LT(*two.power_draw_w, *one.power_draw_w);
}

TEST_F(FaultOfTheMeasurement, AReloadedDriverIsAwayAndItsCountersBeginAnew) {
  open("kind = \"driver_reload\"\nfor = \"100s\"\n");
  EXPECT_EQ(driver->read(gpu).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(driver->enumerate().error().code, ErrorCode::kUnavailable);
  clock.advance(seconds(60));
  EXPECT_TRUE(driver->enumerate());
  EXPECT_LT(*driver->read(gpu)->energy_total_mj, *before.energy_total_mj);
}

TEST_F(FaultOfTheMeasurement, AHangGivesNoReadingAndASilentLossLosesTheGpu) {
  open("kind = \"hang\"\n");
  EXPECT_EQ(driver->read(gpu).error().code, ErrorCode::kUnavailable);
  open("kind = \"silent_loss\"\n");
  EXPECT_EQ(driver->read(gpu).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(driver->enumerate()->empty());
}

TEST_F(FaultOfTheMeasurement, LinksAndRowsShowInTheDetail) {
  open("kind = \"pcie_degraded\"\nramp = \"0s\"\n[[fault]]\nkind = \"row_remap_failure\"\n[[fault]]\nkind = \"nvlink_errors\"\n");
  ASSERT_TRUE(driver->read(gpu));
  const GpuDetail detail = driver->detail(gpu).value();
  EXPECT_EQ(detail.get(GpuDetailField::kPcieLinkWidth), 4);
  EXPECT_EQ(detail.get(GpuDetailField::kRemappedRowsFailure), 1);
  EXPECT_GT(detail.get(GpuDetailField::kNvlinkCrcFlitErrors), 1000);
  EXPECT_FALSE(driver->detail(GpuUuid("GPU-none")));
}

TEST_F(SimulatedGpuDriverTest, ScenarioSickLeavesReadsUnansweredNowAndThen) {
  auto driver = make("simulated:4,scenario=sick");
  const auto gpus = driver.enumerate().value();
  int unanswered = 0;
  for (int i = 0; i < 300; ++i) {
    clock.advance(seconds(1));
    const auto sample = driver.read(gpus[0].gpu_uuid);
    if (sample) continue;
    EXPECT_EQ(sample.error().code, ErrorCode::kUnavailable);
    ++unanswered;
  }
  EXPECT_GT(unanswered, 10);
  EXPECT_LT(unanswered, 60);
}

}  // namespace
}  // namespace aether
