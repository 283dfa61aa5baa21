#pragma once
// One writer per directory, held by the kernel until this process ends.
#include <memory>
#include <string>

#include "base/result.h"

namespace aether::store {

class DirectoryLock {
 public:
  // kConflict when another process, or another store of this process, holds the directory.
  static Result<std::unique_ptr<DirectoryLock>> take(const std::string& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  explicit DirectoryLock(int file) : file_(file) {}
  const int file_;
};

}  // namespace aether::store
