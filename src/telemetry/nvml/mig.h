#pragma once
// The MIG instances of one GPU. Their handles are valid until an instance is destroyed: they are taken anew at every look.
#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "telemetry/gpu_detail.h"
#include "telemetry/nvml/gpm.h"
#include "telemetry/nvml/library.h"

namespace aether::nvml {

// Must be destroyed before its library.
class MigReader {
 public:
  MigReader(const Functions& functions, DeviceHandle device) : functions_(functions), device_(device) {}
  // What is there now; empty while MIG is off or the library can't say.
  std::vector<MigInstance> read(Mono now);

 private:
  std::optional<MigInstance> read_instance(std::uint32_t index, Mono now);
  bool enabled() const;

  const Functions& functions_;
  const DeviceHandle device_;
  std::map<std::uint32_t, std::unique_ptr<GpmReader>> gpm_;  // by GPU instance
};

}  // namespace aether::nvml
