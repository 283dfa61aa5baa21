#pragma once
// The model in this process.
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "predictor/predictor.h"
#include "predictor/xgboost/train.h"

namespace aether::xgboost {

struct StoredModel;

// Thread-safe, also while a new model is loaded: a request is answered by one model.
class XgboostPredictor final : public Predictor {
 public:
  // Without a model: answers kUnavailable until load() or use() succeeds. `clock` measures deadlines.
  XgboostPredictor();
  explicit XgboostPredictor(const Clock& clock);
  ~XgboostPredictor() override;

  // The current model of a directory (model_files.h). On an error the model in use stays.
  Result<void> load(const std::string& directory);
  void use(StoredModel model);

  Result<Prediction> predict(const PredictRequest& request, std::chrono::milliseconds deadline) override;
  Result<std::vector<AnomalyVerdict>> anomaly(const std::vector<AnomalySample>& samples,
                                              std::chrono::milliseconds deadline) override;
  Result<ModelVersion> model() override;

 private:
  std::shared_ptr<const StoredModel> current() const;

  const Clock& clock_;
  mutable std::mutex mutex_;
  std::shared_ptr<const StoredModel> model_;
};

// The current model of `options.directory`; trained with `options` when there is none. A model that can't be used is an
// error here and is not replaced: somebody may want to look at it.
Result<std::unique_ptr<XgboostPredictor>> open_or_train(const TrainOptions& options, const Clock& clock);

}  // namespace aether::xgboost
