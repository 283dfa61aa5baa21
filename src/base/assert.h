#pragma once
// Bugs, not expected failures. On in every build.
namespace aether::detail {
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);
}
#define AETHER_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::aether::detail::assertion_failed(#condition, __FILE__, __LINE__))
