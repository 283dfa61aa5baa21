#pragma once
// Commands that look at or prepare this machine: train, doctor, config, backup, restore.
#include <cstdint>
#include <string>

#include "config/settings.h"

namespace aether::apps {

struct TrainArguments {
  bool synthetic = true;
  std::uint64_t seed = 1;
  std::size_t rows = 0;
  bool as_json = false;
};
int train(const LoadedSettings& loaded, const TrainArguments& arguments);

// One line for each check: ok, warn or fail, and the next step where there is one to take. 0 unless one fails, then 1.
struct DoctorArguments {
  bool as_json = false;
  bool full = false;  // reads through all of a large history
};
int doctor(const LoadedSettings& loaded, const DoctorArguments& arguments);

// A copy of the store while it is in use. `target` empty: a new directory below <state dir>/backups.
int backup(const LoadedSettings& loaded, const std::string& target, bool as_json);
int restore(const LoadedSettings& loaded, const std::string& from, bool as_json);

int config(const LoadedSettings& loaded, bool show, bool as_json);

}  // namespace aether::apps
