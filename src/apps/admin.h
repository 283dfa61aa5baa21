#pragma once
// Commands that look at or prepare this machine: train, doctor, config.
#include <cstdint>

#include "config/settings.h"

namespace aether::apps {

struct TrainArguments {
  bool synthetic = true;
  std::uint64_t seed = 1;
  std::size_t rows = 0;
  bool as_json = false;
};
int train(const LoadedSettings& loaded, const TrainArguments& arguments);

// 0 when every check passes, 1 when one fails. Each failed check names its remedy.
int doctor(const LoadedSettings& loaded, bool as_json);

int config(const LoadedSettings& loaded, bool show, bool as_json);

}  // namespace aether::apps
