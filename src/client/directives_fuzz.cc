// libFuzzer entry over the lines of a job script. batch_test.cc runs it over seeded texts in every test run.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "client/script_directives.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether::client;
  SlurmOptions slurm;
  std::vector<std::string> notes;
  const auto flags = flags_of_script({reinterpret_cast<const char*>(data), size}, slurm, notes);
  AETHER_ASSERT(flags || (!flags.error().message.empty() && flags.error().exit_code == kUsage));
  return 0;
}
