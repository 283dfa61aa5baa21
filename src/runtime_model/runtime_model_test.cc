#include <gtest/gtest.h>

#include <cmath>

#include "runtime_model/run_time_model.h"

namespace aether::runtime_model {
namespace {

TEST(History, KnowsARunTimeOnlyAfterTheEnd) {
  History history;
  const Request request{.user = "ada", .partition = 0, .gpus = 2, .cpus = 4, .submit_s = 100};
  history.submitted(request);
  EXPECT_TRUE(std::isnan(history.features(request, 200)[5]));
  history.ended(request, 50, 200);
  EXPECT_FLOAT_EQ(history.features(request, 200)[5], std::log1p(50.0f));
}

TEST(RunTimeModel, LearnsWhoRunsLong) {
  RunTimeModel model;
  for (int job = 0; job < 900; ++job) {
    const bool quick = job % 2 == 0;
    model.submitted(job, {.user = quick ? "ada" : "bob", .submit_s = job * 100});
    model.ended(job, quick ? 45 + job % 7 : 20000 + job, job * 100 + 99);
  }
  EXPECT_GE(model.version(), 2);
  const auto quick = model.submitted(900, {.user = "ada", .submit_s = 90000});
  const auto slow = model.submitted(901, {.user = "bob", .submit_s = 90000});
  EXPECT_LT(quick->geometric_mean_s() * 20, slow->geometric_mean_s());
  EXPECT_GT(model.score().spearman, 0.4);
}

TEST(RunTimeModel, TheSameStreamGivesTheSameBeliefs) {
  RunTimeModel first, second;
  for (RunTimeModel* model : {&first, &second})
    for (int job = 0; job < 400; ++job) {
      model->submitted(job, {.user = std::to_string(job % 5), .submit_s = job});
      model->ended(job, (job % 5) * 300 + job % 11, job + 1);
    }
  EXPECT_EQ(first.score().log_loss, second.score().log_loss);
  EXPECT_EQ(first.version(), second.version());
}

}  // namespace
}  // namespace aether::runtime_model
