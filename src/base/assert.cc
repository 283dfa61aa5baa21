#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace aether::detail {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "aether: bug: %s does not hold (%s:%d); please report this line\n", condition, file, line);
  std::abort();
}

}  // namespace aether::detail
