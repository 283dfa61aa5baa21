// A configuration file of any bytes: settings, or one error that names a place.
#include <sys/mman.h>
#include <unistd.h>

#include "config/settings.h"
#include "fuzz.h"

namespace {

// toml++ reads files; this one lies in memory.
int memory_file() {
  static const int file = memfd_create("settings.toml", MFD_CLOEXEC);
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  const int file = memory_file();
  AETHER_ASSERT(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == static_cast<ssize_t>(size));
  const auto loaded = load_settings("/proc/self/fd/" + std::to_string(file), {}, {{"HOME", "/nonexistent"}});
  if (loaded) AETHER_ASSERT(loaded->settings.sample_interval_ms >= 100 && !loaded->settings.node.empty());
  else AETHER_ASSERT(!loaded.error().message.empty());
  return 0;
}
