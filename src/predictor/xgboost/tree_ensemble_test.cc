#include "predictor/xgboost/tree_ensemble.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/rng.h"
#include "predictor/test_model.h"
#include "predictor/xgboost/model_files.h"

namespace aether::xgboost {
namespace {

std::string model_of(const std::string& trees, const std::string& objective = "binary:logistic") {
  return fmt::format(R"({{"learner":{{"objective":{{"name":"{}"}},"learner_model_param":{{"base_score":"5E-1"}},)"
                     R"("gradient_booster":{{"name":"gbtree","model":{{"trees":[{}]}}}}}}}})", objective, trees);
}

// temperature_c < 60 ? +1 : -1, missing as cold.
const std::string kStump = R"({"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],
  "split_conditions":[60,1,-1],"default_left":[1,0,0]})";

float sigmoid(float margin) { return 1 / (1 + std::exp(-margin)); }

TEST(TreeEnsemble, WalksToTheLeafOfEachTree) {
  const auto trees = TreeEnsemble::from_json(model_of(kStump + "," + kStump));
  ASSERT_TRUE(trees) << trees.error().message;
  EXPECT_EQ(trees->tree_count(), 2u);
  FeatureRow row{};
  row[0] = 59;
  EXPECT_FLOAT_EQ(trees->score(row), sigmoid(2));
  row[0] = 60;
  EXPECT_FLOAT_EQ(trees->score(row), sigmoid(-2)) << "the threshold itself goes right";
  row[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FLOAT_EQ(trees->score(row), sigmoid(2));
}

TEST(TreeEnsemble, AgreesWithTheLibraryOnRowsOfAnyKind) {
  const auto model = load_model(trained_directory());
  ASSERT_TRUE(model) << model.error().message;
  Rng rng(5);
  std::vector<FeatureRow> rows(3000);
  for (FeatureRow& row : rows)
    for (float& value : row)
      value = rng.chance(0.2) ? std::numeric_limits<float>::quiet_NaN()
                              : static_cast<float>(rng.chance(0.5) ? rng.uniform(0, 2) : std::floor(rng.uniform(-100, 30000)));
  const std::vector<float> ours = model->booster.scores(rows);
  const auto theirs = model->booster.library_scores(rows);
  ASSERT_TRUE(theirs);
  for (std::size_t i = 0; i < rows.size(); ++i) ASSERT_NEAR(ours[i], (*theirs)[i], 1e-6) << i;
}

TEST(TreeEnsemble, RefusesTreesThatPointNowhere) {
  for (const char* tree : {
           R"({"left_children":[0,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],"split_conditions":[1,1,1],"default_left":[1,0,0]})",
           R"({"left_children":[1,-1,-1],"right_children":[3,-1,-1],"split_indices":[0,0,0],"split_conditions":[1,1,1],"default_left":[1,0,0]})",
           R"({"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[99,0,0],"split_conditions":[1,1,1],"default_left":[1,0,0]})",
           R"({"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[-1,0,0],"split_conditions":[1,1,1],"default_left":[1,0,0]})",
           R"({"left_children":[1,-1,-1],"right_children":[2],"split_indices":[0],"split_conditions":[1],"default_left":[]})",
           R"({"left_children":[],"right_children":[],"split_indices":[],"split_conditions":[],"default_left":[]})", "{}", "7"})
    EXPECT_EQ(TreeEnsemble::from_json(model_of(tree)).error().code, ErrorCode::kCorrupt) << tree;
}

TEST(TreeEnsemble, RefusesOtherModels) {
  EXPECT_EQ(TreeEnsemble::from_json(model_of(kStump, "reg:squarederror")).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(TreeEnsemble::from_json("{}").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(TreeEnsemble::from_json("no json").error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace aether::xgboost
