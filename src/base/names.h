#pragma once
// Names that become parts of subjects, paths and URLs, and the nearest known word for a misspelt one.
#include <span>
#include <string>
#include <string_view>

namespace aether {

// ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$ : node, queue and account names. Checked before a name enters a bus subject.
bool is_valid_name(std::string_view text);

// The known word with the smallest edit distance, or "" when none is near (distance > 3).
std::string nearest_name(std::string_view word, std::span<const std::string> known);

}  // namespace aether
