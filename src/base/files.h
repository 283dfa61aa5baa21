#pragma once
// Files that survive a power cut: temporary file, fsync, rename, fsync of the directory.
#include <string>
#include <string_view>

#include "base/result.h"

namespace aether {

Result<std::string> read_file(const std::string& path);
// Replaces `path` as a whole or not at all. Mode as given (0600 by default).
Result<void> write_file_durably(const std::string& path, std::string_view content, unsigned mode = 0600);
// Creates missing parents too; directories get mode 0700.
Result<void> make_private_directory(const std::string& path);

}  // namespace aether
