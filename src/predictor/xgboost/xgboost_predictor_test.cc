#include "predictor/xgboost/xgboost_predictor.h"

#include <atomic>
#include <stdexcept>
#include <thread>

#include "base/files.h"
#include "predictor/contract_test.h"
#include "predictor/xgboost/model_files.h"

namespace aether::xgboost {
namespace {

class InProcess final : public PredictorUnderTest {
 public:
  InProcess() {
    const auto loaded = with_model_.load(trained_directory());
    if (!loaded) throw std::runtime_error(loaded.error().message);
  }
  Predictor& with_model() override { return with_model_; }
  Predictor& without_model() override { return without_model_; }

 private:
  XgboostPredictor with_model_, without_model_;
};

INSTANTIATE_TEST_SUITE_P(Xgboost, PredictorContract, testing::Values([] { return std::make_unique<InProcess>(); }));

TEST(Training, BeatsChoosingAtRandomAndByLoadWithConfidence) {
  const ScratchDirectory directory;
  TrainOptions options = small_training(directory.path());
  options.rows = 20000;
  options.rounds = 40;
  options.evaluation_clusters = 60;
  const auto report = train_synthetic(options);
  ASSERT_TRUE(report) << report.error().message;
  for (const PolicyResult& policy : report->evaluation.policies)
    if (policy.name == "random" || policy.name == "least_loaded" || policy.name == "coolest") {
      EXPECT_GT(policy.over_model.low, 0) << policy.name;
    }
  EXPECT_GT(report->evaluation.auc, 0.85);
  EXPECT_LT(report->evaluation.auc, 0.97) << "the classes overlap; a higher value would mean a task that is too easy";
  EXPECT_LT(report->evaluation.log_loss, 0.7 * report->evaluation.log_loss_of_share);
  EXPECT_THAT(table(*report), testing::HasSubstr("least_loaded"));
}

TEST(Training, TheSameSeedGivesTheSameModel) {
  const ScratchDirectory first, second, third;
  const auto a = train_synthetic(small_training(first.path(), 3));
  const auto b = train_synthetic(small_training(second.path(), 3));
  const auto c = train_synthetic(small_training(third.path(), 4));
  ASSERT_TRUE(a && b && c);
  EXPECT_EQ(a->version, b->version);
  EXPECT_EQ(read_file(a->folder + "/model.ubj").value(), read_file(b->folder + "/model.ubj").value());
  EXPECT_NE(a->version, c->version);
}

TEST(Training, SaysHowFarItIs) {
  const ScratchDirectory directory;
  TrainOptions options = small_training(directory.path());
  std::vector<std::string> stages;
  options.on_progress = [&](const TrainProgress& progress) {
    EXPECT_GE(progress.done, 0);
    EXPECT_LE(progress.done, 1);
    if (stages.empty() || stages.back() != progress.stage) stages.push_back(progress.stage);
  };
  ASSERT_TRUE(train_synthetic(options));
  EXPECT_THAT(stages, testing::ElementsAre("data", "training", "evaluation", "saving"));
}

TEST(Training, RefusesOptionsOutOfRangeByName) {
  TrainOptions options = small_training("");
  EXPECT_EQ(train_synthetic(options).error().field, "directory");
  options.directory = "/nonexistent";
  options.seed = 0;
  EXPECT_EQ(train_synthetic(options).error().field, "seed");
  options.seed = 1;
  options.rows = 10;
  EXPECT_EQ(train_synthetic(options).error().field, "rows");
}

// A copy of the trained model that a test may damage.
class ModelFiles : public testing::Test {
 protected:
  ModelFiles() {
    std::filesystem::copy(trained_directory(), directory_.path(), std::filesystem::copy_options::recursive);
    const std::string current = read_file(path("current")).value();
    version_ = current.substr(0, current.find(' '));
  }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  std::string model_file(const std::string& name) const { return path(version_ + "/" + name); }
  Result<void> load() { return XgboostPredictor().load(directory_.path()); }
  void expect_refused(const std::string& file, const std::string& content) {
    ASSERT_TRUE(write_file_durably(file, content));
    const auto loaded = load();
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, ErrorCode::kCorrupt) << loaded.error().message;
    EXPECT_THAT(loaded.error().message, testing::HasSubstr("aether train --synthetic"));
  }

  ScratchDirectory directory_;
  std::string version_;
};

TEST_F(ModelFiles, AnUntouchedCopyLoads) {
  const auto loaded = load();
  EXPECT_TRUE(loaded) << loaded.error().message;
}

TEST_F(ModelFiles, ATruncatedFileIsRefusedAtEveryLength) {
  for (const std::string& file : {path("current"), model_file("model.json"), model_file("model.ubj")}) {
    const std::string whole = read_file(file).value();
    const std::size_t step = std::max<std::size_t>(1, whole.size() / 25);
    for (std::size_t length = 0; length < whole.size(); length += step) expect_refused(file, whole.substr(0, length));
    expect_refused(file, whole + "x");
    ASSERT_TRUE(write_file_durably(file, whole));
  }
  EXPECT_TRUE(load());
}

TEST_F(ModelFiles, AChangedByteIsRefusedWhereverItIs) {
  for (const std::string& file : {path("current"), model_file("model.json"), model_file("model.ubj")}) {
    const std::string whole = read_file(file).value();
    const std::size_t step = std::max<std::size_t>(1, whole.size() / 40);
    for (std::size_t at = 0; at < whole.size(); at += step) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ 1);
      expect_refused(file, changed);
    }
    ASSERT_TRUE(write_file_durably(file, whole));
  }
}

TEST_F(ModelFiles, AMissingFileIsRefusedByName) {
  std::filesystem::remove(model_file("model.ubj"));
  const auto loaded = load();
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message, testing::AllOf(testing::HasSubstr("model.ubj"), testing::HasSubstr("missing")));
}

// Rewrites manifest and `current` consistently, so that the hashes hold and only the content is wrong.
TEST_F(ModelFiles, AModelOfOtherFeaturesIsRefused) {
  std::string manifest = read_file(model_file("model.json")).value();
  const std::size_t at = manifest.find("\"temperature_c\"");
  ASSERT_NE(at, std::string::npos);
  manifest.replace(at, 15, "\"temperature_f\"");
  ASSERT_TRUE(write_file_durably(model_file("model.json"), manifest));
  expect_refused(path("current"), version_ + " " + sha256_hex(manifest) + "\n");
  EXPECT_THAT(load().error().message, testing::HasSubstr("other features"));
}

TEST_F(ModelFiles, BytesThatAreNoModelAreRefusedEvenWithTheRightHash) {
  std::string manifest = read_file(model_file("model.json")).value();
  const std::string old_hash = sha256_hex(read_file(model_file("model.ubj")).value());
  const std::string rubbish = "{\"learner\": {}}";
  manifest.replace(manifest.find(old_hash), old_hash.size(), sha256_hex(rubbish));
  ASSERT_TRUE(write_file_durably(model_file("model.json"), manifest));
  ASSERT_TRUE(write_file_durably(model_file("model.ubj"), rubbish));
  expect_refused(path("current"), version_ + " " + sha256_hex(manifest) + "\n");
}

TEST_F(ModelFiles, AVersionCannotLeaveTheDirectory) {
  expect_refused(path("current"), "../" + version_ + " " + std::string(64, 'a') + "\n");
}

TEST_F(ModelFiles, AFailedLoadKeepsTheModelInUse) {
  XgboostPredictor predictor;
  ASSERT_TRUE(predictor.load(directory_.path()));
  ASSERT_TRUE(write_file_durably(path("current"), "broken"));
  EXPECT_FALSE(predictor.load(directory_.path()));
  EXPECT_TRUE(predictor.predict(request_of(2), seconds(20)));
}

TEST(OpenOrTrain, TrainsOnceAndThenLoads) {
  const ScratchDirectory directory;
  const SystemClock clock;
  TrainOptions options = small_training(directory.path() + "/models");
  int stages = 0;
  options.on_progress = [&](const TrainProgress&) { ++stages; };
  const auto first = open_or_train(options, clock);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_GT(stages, 0);
  stages = 0;
  const auto second = open_or_train(options, clock);
  ASSERT_TRUE(second);
  EXPECT_EQ(stages, 0);
  EXPECT_EQ((*first)->model().value(), (*second)->model().value());
}

TEST(OpenOrTrain, DoesNotReplaceABrokenModel) {
  const ScratchDirectory directory;
  ASSERT_TRUE(write_file_durably(directory.path() + "/current", "broken"));
  const SystemClock clock;
  EXPECT_EQ(open_or_train(small_training(directory.path()), clock).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(read_file(directory.path() + "/current").value(), "broken");
}

// Each look at it costs 4 ms.
class SlowClock final : public Clock {
 public:
  Time now() const override { return {}; }
  Mono mono() const override { return Mono(milliseconds(4 * ++looks_)); }

 private:
  mutable std::atomic<int> looks_{0};
};

TEST(Deadline, IsKeptInTheMiddleOfALongList) {
  const SlowClock clock;
  XgboostPredictor predictor(clock);
  ASSERT_TRUE(predictor.load(trained_directory()));
  EXPECT_TRUE(predictor.predict(request_of(1), milliseconds(20)));
  EXPECT_EQ(predictor.predict(request_of(kMaxCandidates), milliseconds(20)).error().code, ErrorCode::kTimeout);
}

TEST(Threads, GetTheSameAnswersAlsoWhileAModelIsLoaded) {
  XgboostPredictor predictor;
  ASSERT_TRUE(predictor.load(trained_directory()));
  const PredictRequest request = request_of(8);
  const auto expected = predictor.predict(request, seconds(20));
  ASSERT_TRUE(expected);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 40; ++i) {
        const auto mine = predictor.predict(request, seconds(20));
        for (std::size_t k = 0; k < 8; ++k)
          if (!mine || mine->scores[k].score != expected->scores[k].score ||
              mine->scores[k].contributions != expected->scores[k].contributions)
            ++wrong;
      }
    });
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(predictor.load(trained_directory()));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace aether::xgboost
