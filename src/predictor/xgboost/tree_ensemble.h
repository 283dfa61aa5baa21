#pragma once
// Scores of a boosted model without the library's cost per call (about 25 microseconds, and 3 times ours per row):
// plain trees in one array. The library stays the authority: Booster compares the two when it loads a model.
#include <cstdint>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "predictor/features.h"

namespace aether::xgboost {

// Immutable; thread-safe.
class TreeEnsemble {
 public:
  // From XGBoost's JSON form of a binary classifier of numeric splits. kCorrupt for anything else.
  static Result<TreeEnsemble> from_json(std::string_view model_json);

  // Probability of the positive class.
  float score(const FeatureRow& row) const;
  std::size_t tree_count() const { return roots_.size(); }

 private:
  // A leaf has itself as left child and its value as threshold.
  struct Node {
    float threshold = 0;
    std::int32_t left = 0, right = 0;  // indices into nodes_, always behind the node: every walk ends
    std::uint16_t feature = 0;
    bool missing_goes_left = false;
  };
  void append_tree(const nlohmann::json& tree);
  float leaf_value(std::int32_t root, const FeatureRow& row) const;

  std::vector<Node> nodes_;
  std::vector<std::int32_t> roots_;
  float base_margin_ = 0;
};

}  // namespace aether::xgboost
