#pragma once
// A disk whose power can fail, for tests: a VFS of SQLite over the one that is the default. What was written since a
// file's last sync is pending; a cut drops all of it, or any part, torn at sectors of 512 bytes.
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/rng.h"

struct sqlite3_vfs;

namespace aether::store {

// Thread-safe. While one lives it is SQLite's default VFS; there is one at a time, and all databases opened meanwhile are
// closed before it goes.
class PowerLossVfs {
 public:
  enum class Sync { kHonest, kClaimedOnly };  // the second: a disk that says so and keeps everything in its cache
  explicit PowerLossVfs(Sync sync);
  ~PowerLossVfs();
  PowerLossVfs(const PowerLossVfs&) = delete;
  PowerLossVfs& operator=(const PowerLossVfs&) = delete;

  // The power fails at the n-th write, sync, truncation or removal from now on; from then on all of them fail.
  void cut_after(std::uint64_t operations);
  bool is_off() const;
  // Before that, every database is closed. The files become what a disk may hold then, and the power is back.
  enum class Survives { kNothing, kAnyPart, kEverything };  // the last: not the power failed, the process was killed
  void restore(Survives survives, Rng& rng);

  // For the VFS's own functions: false when the power is off.
  enum class Kind { kWrite, kTruncate, kRemove };
  void opened(const std::string& path);
  bool change(const std::string& path, Kind kind, std::int64_t offset, std::string_view bytes);
  bool sync(const std::string& path);
  sqlite3_vfs* real() const { return real_; }

 private:
  struct Change {
    Kind kind = Kind::kWrite;
    std::int64_t offset = 0;  // of a truncation: the new size
    std::string bytes;
  };
  struct File {
    bool exists = false;  // on the disk itself
    std::string image;
    std::vector<Change> pending;
  };
  bool tick();
  static void apply(File& file, const Change& change);
  static void apply_part(File& file, const Change& change, Rng& rng);

  const Sync sync_;
  sqlite3_vfs* const real_;
  std::unique_ptr<sqlite3_vfs> vfs_;
  mutable std::mutex mutex_;
  std::map<std::string, File> files_;
  std::uint64_t left_ = ~std::uint64_t{0};
  bool off_ = false;
};

}  // namespace aether::store
