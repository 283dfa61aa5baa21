#pragma once
// What the contract suite stands on: a harness, and the fixture that opens a store through it.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/rng.h"
#include "base/ulid.h"
#include "store/retention.h"
#include "store/store.h"

namespace aether {

// One set of data that can be opened again and again.
class StoreHarness {
 public:
  virtual ~StoreHarness() = default;
  virtual Result<std::unique_ptr<Store>> open(store::Retention retention) = 0;
};

struct HarnessFactory {
  // An error means that the service is missing: a visible skip, and a failure where CI=true.
  std::function<Result<std::unique_ptr<StoreHarness>>()> make;
};

namespace contract {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// A whole hour, so that levels begin here.
inline constexpr Time kStart{Duration(1'800'000'000'000'000)};

inline Job make_job(std::int64_t number) {
  Job job;
  job.id = JobId(make_ulid(kStart + seconds(number), 7, static_cast<std::uint64_t>(number)));
  job.number = number;
  job.user = "ada";
  job.spec.name = "train-" + std::to_string(number);
  job.spec.argv = {"python3", "train.py", "--note", "it's \"quoted\" and Ünïcode"};
  job.spec.env = {{"A", "1"}, {"B", "two words"}};
  job.spec.gpus = 2;
  job.submitted_at = kStart + seconds(number);
  job.body_sha256 = "abc";
  return job;
}

inline Attempt make_attempt(const Job& job, int n) {
  Attempt attempt;
  attempt.id = {job.id, n};
  attempt.epoch = 40 + static_cast<Epoch>(n);
  attempt.placement = {NodeId("node-1"), {GpuUuid("GPU-a"), GpuUuid("GPU-b")}, 1024};
  attempt.state = JobState::kRunning;
  attempt.assigned_at = kStart + seconds(5);
  attempt.started_at = kStart + seconds(6);
  attempt.energy_j = 12.25;
  return attempt;
}

inline GpuSample make_sample(const std::string& gpu, Time time, std::uint64_t seq) {
  GpuSample sample;
  sample.gpu_uuid = GpuUuid(gpu);
  sample.node = NodeId("node-1");
  sample.gpu_index = gpu.back() - '0';
  sample.gpu_name = "Simulated GPU";
  sample.sample_seq = seq;
  sample.sample_time = time;
  return sample;
}

inline std::vector<std::int64_t> numbers(const std::vector<Job>& jobs) {
  std::vector<std::int64_t> list;
  for (const Job& job : jobs) list.push_back(job.number);
  return list;
}

#define STORE_OK(expression)                                                  \
  do {                                                                        \
    const auto& store_ok = (expression);                                      \
    ASSERT_TRUE(store_ok) << #expression << ": " << store_ok.error().message; \
  } while (false)

}  // namespace contract

class StoreContract : public ::testing::TestWithParam<HarnessFactory> {
 protected:
  void SetUp() override {
    auto harness = GetParam().make();
    if (!harness) {
      const char* ci = std::getenv("CI");
      if (ci && std::string(ci) == "true") FAIL() << harness.error().message;
      GTEST_SKIP() << "SKIPPED: " << harness.error().message;
    }
    harness_ = std::move(*harness);
    reopen();
  }
  void reopen(store::Retention retention = {}) {
    store_.reset();
    auto opened = harness_->open(retention);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  std::unique_ptr<StoreHarness> harness_;
  std::unique_ptr<Store> store_;
};

}  // namespace aether
