#pragma once
// The bytes of a request's head before any parser sees them, and the bytes of a response's head.
// A head that two programs could read differently (bare CR or LF, folded lines) is refused here.
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "http/server.h"

namespace aether::http {

struct HeadScan {
  std::size_t end = 0;           // just behind the empty line; 0 = not complete yet
  std::size_t target_bytes = 0;  // of the request line seen so far
  std::string defect;            // why the head is refused; empty = none so far
};
// `bytes` starts at a request line.
HeadScan scan_head(std::string_view bytes);

std::string_view reason_phrase(int status);

enum class BodyFraming { kLength, kChunked, kUntilClose };
// Status line and headers with the security headers and the final empty line.
std::string format_head(const Response& response, BodyFraming framing, std::size_t body_bytes, bool keep_alive,
                        const std::string& request_id);

}  // namespace aether::http
