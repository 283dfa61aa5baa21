#pragma once
// Reads the segments that the shim's LogWriter leaves, also while it writes.
#include <cstdint>
#include <string>

#include "base/result.h"
#include "model/message.h"

namespace aether::executor {

inline constexpr std::int64_t kMaxLogReadBytes = 1 << 20;

// `path_prefix` is "<attempt>/log/stdout". A negative offset counts from the end. When the asked bytes are no longer
// kept, the chunk begins at the next kept one, which its offset says. `complete` is left to the caller's `ended`.
Result<LogChunk> read_log_segments(const std::string& path_prefix, std::int64_t segment_bytes, std::int64_t offset,
                                   std::int64_t limit, bool ended);

}  // namespace aether::executor
