#pragma once
// A message on a unix socket with open descriptors beside it (SCM_RIGHTS). Used by the runner and by aether-shim.
#include <sys/types.h>

#include <cstddef>
#include <span>

namespace aether::executor {

inline constexpr std::size_t kMaxSentDescriptors = 2;

// At most kMaxSentDescriptors of them; false with errno set.
bool send_with_descriptors(int socket, const void* data, std::size_t size, std::span<const int> descriptors);
// As recv() with these flags. `descriptors` are filled when exactly that many came, close-on-exec; others are left as they are.
ssize_t receive_with_descriptors(int socket, void* data, std::size_t size, std::span<int> descriptors, int flags = 0);

}  // namespace aether::executor
