#include "predictor/xgboost/tree_ensemble.h"

#include <cmath>
#include <stdexcept>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace aether::xgboost {

float TreeEnsemble::leaf_value(std::int32_t root, const FeatureRow& row) const {
  std::int32_t at = root;
  for (;;) {
    const Node& node = nodes_[static_cast<std::size_t>(at)];
    if (node.left == at) return node.threshold;
    const float value = row[node.feature];
    const bool left = std::isnan(value) ? node.missing_goes_left : value < node.threshold;
    at = left ? node.left : node.right;
  }
}

float TreeEnsemble::score(const FeatureRow& row) const {
  float margin = base_margin_;
  for (const std::int32_t root : roots_) margin += leaf_value(root, row);
  return 1.0f / (1.0f + std::exp(-margin));
}

// Throws when the tree makes no sense; from_json() turns that into an error.
void TreeEnsemble::append_tree(const nlohmann::json& tree) {
  const auto left = tree.at("left_children").get<std::vector<std::int32_t>>();
  const auto right = tree.at("right_children").get<std::vector<std::int32_t>>();
  const auto feature = tree.at("split_indices").get<std::vector<std::int32_t>>();
  const auto threshold = tree.at("split_conditions").get<std::vector<float>>();
  const auto missing_left = tree.at("default_left").get<std::vector<int>>();
  const auto count = static_cast<std::int32_t>(left.size());
  const auto root = static_cast<std::int32_t>(nodes_.size());
  if (count == 0) throw std::runtime_error("a tree without nodes");
  const auto is_behind = [&](std::int32_t child, std::int32_t parent) { return child > parent && child < count; };
  for (std::int32_t i = 0; i < count; ++i) {
    const auto k = static_cast<std::size_t>(i);
    Node node{threshold.at(k), root + i, root + i, 0, false};
    if (left[k] != -1) {
      const std::int32_t split = feature.at(k);
      if (!is_behind(left[k], i) || !is_behind(right.at(k), i) || split < 0 || split >= static_cast<std::int32_t>(kFeatureCount))
        throw std::runtime_error(fmt::format("node {} points nowhere", i));
      node = {threshold[k], root + left[k], root + right[k], static_cast<std::uint16_t>(split), missing_left.at(k) != 0};
    }
    nodes_.push_back(node);
  }
  roots_.push_back(root);
}

Result<TreeEnsemble> TreeEnsemble::from_json(std::string_view model_json) {
  using Json = nlohmann::json;
  try {
    const Json learner = Json::parse(model_json).at("learner");
    const Json& booster = learner.at("gradient_booster");
    if (learner.at("objective").at("name") != "binary:logistic" || booster.at("name") != "gbtree")
      return fail(ErrorCode::kCorrupt, "the model is no binary classifier of trees");
    TreeEnsemble out;
    const float base = std::stof(learner.at("learner_model_param").at("base_score").get<std::string>());
    out.base_margin_ = std::log(base / (1 - base));
    for (const Json& tree : booster.at("model").at("trees")) out.append_tree(tree);
    return out;
  } catch (const std::exception& error) {
    return fail(ErrorCode::kCorrupt, fmt::format("the model's trees can't be read: {}", error.what()));
  }
}

}  // namespace aether::xgboost
