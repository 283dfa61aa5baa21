#include "store/sqlite/power_loss_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/assert.h"

namespace aether::store {
namespace {

constexpr std::size_t kSectorBytes = 512;

// What SQLite holds of an open file: its methods, then ours, then the real file, which is larger than any struct knows.
struct OpenFile {
  sqlite3_file base;
  PowerLossVfs* disk;
  std::string* path;  // null for a file without a name
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
OpenFile& of(sqlite3_file* file) { return *reinterpret_cast<OpenFile*>(file); }
sqlite3_file* real_of(sqlite3_file* file) { return of(file).real(); }
PowerLossVfs& disk_of(sqlite3_vfs* vfs) { return *static_cast<PowerLossVfs*>(vfs->pAppData); }

int close_file(sqlite3_file* file) {
  delete of(file).path;
  return real_of(file)->pMethods->xClose(real_of(file));
}
int read_file(sqlite3_file* file, void* data, int size, sqlite3_int64 offset) {
  return real_of(file)->pMethods->xRead(real_of(file), data, size, offset);
}
int write_file(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  const std::string_view bytes(static_cast<const char*>(data), static_cast<std::size_t>(size));
  if (of(file).path && !of(file).disk->change(*of(file).path, PowerLossVfs::Kind::kWrite, offset, bytes))
    return SQLITE_IOERR_WRITE;
  return real_of(file)->pMethods->xWrite(real_of(file), data, size, offset);
}
int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  if (of(file).path && !of(file).disk->change(*of(file).path, PowerLossVfs::Kind::kTruncate, size, {}))
    return SQLITE_IOERR_TRUNCATE;
  return real_of(file)->pMethods->xTruncate(real_of(file), size);
}
int sync_file(sqlite3_file* file, int) {
  return !of(file).path || of(file).disk->sync(*of(file).path) ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}
int file_size(sqlite3_file* file, sqlite3_int64* size) {
  return real_of(file)->pMethods->xFileSize(real_of(file), size);
}
int lock(sqlite3_file* file, int level) { return real_of(file)->pMethods->xLock(real_of(file), level); }
int unlock(sqlite3_file* file, int level) { return real_of(file)->pMethods->xUnlock(real_of(file), level); }
int reserved(sqlite3_file* file, int* held) { return real_of(file)->pMethods->xCheckReservedLock(real_of(file), held); }
int control(sqlite3_file* file, int operation, void* argument) {
  return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
}
int sector_size(sqlite3_file* file) { return real_of(file)->pMethods->xSectorSize(real_of(file)); }
int characteristics(sqlite3_file* file) { return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file)); }
int shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** memory) {
  return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, memory);
}
int shm_lock(sqlite3_file* file, int offset, int count, int flags) {
  return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}
void shm_barrier(sqlite3_file* file) { real_of(file)->pMethods->xShmBarrier(real_of(file)); }
int shm_unmap(sqlite3_file* file, int remove) { return real_of(file)->pMethods->xShmUnmap(real_of(file), remove); }

// Version 2: without memory mapping, whose writes nobody would see.
constexpr sqlite3_io_methods kMethods = {
    2,    close_file, read_file,   write_file,      truncate_file, sync_file, file_size,   lock,      unlock,  reserved,
    control, sector_size, characteristics, shm_map, shm_lock,      shm_barrier, shm_unmap, nullptr, nullptr};

int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* flags_out) {
  OpenFile& opened = of(file);
  opened.base.pMethods = nullptr;
  opened.disk = &disk_of(vfs);
  if (name) opened.disk->opened(name);
  sqlite3_vfs* real = opened.disk->real();
  const int code = real->xOpen(real, name, opened.real(), flags, flags_out);
  if (code != SQLITE_OK) return code;
  opened.path = name ? new std::string(name) : nullptr;
  opened.base.pMethods = &kMethods;
  return SQLITE_OK;
}
int delete_file(sqlite3_vfs* vfs, const char* name, int sync_directory) {
  PowerLossVfs& disk = disk_of(vfs);
  if (!disk.change(name, PowerLossVfs::Kind::kRemove, 0, {})) return SQLITE_IOERR_DELETE;
  if (sync_directory != 0 && !disk.sync(name)) return SQLITE_IOERR_DIR_FSYNC;
  return disk.real()->xDelete(disk.real(), name, 0);
}

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

PowerLossVfs::PowerLossVfs(Sync sync)
    : sync_(sync), real_(sqlite3_vfs_find(nullptr)), vfs_(std::make_unique<sqlite3_vfs>(*real_)) {
  vfs_->szOsFile = static_cast<int>(sizeof(OpenFile)) + real_->szOsFile;
  vfs_->pNext = nullptr;
  vfs_->zName = "power_loss";
  vfs_->pAppData = this;
  vfs_->xOpen = open_file;
  vfs_->xDelete = delete_file;
  // Those that the copy shares with the real one look at its pAppData.
  vfs_->xAccess = [](sqlite3_vfs* vfs, const char* name, int flags, int* result) {
    sqlite3_vfs* real = disk_of(vfs).real();
    return real->xAccess(real, name, flags, result);
  };
  vfs_->xFullPathname = [](sqlite3_vfs* vfs, const char* name, int size, char* path) {
    sqlite3_vfs* real = disk_of(vfs).real();
    return real->xFullPathname(real, name, size, path);
  };
  AETHER_ASSERT(sqlite3_vfs_register(vfs_.get(), 1) == SQLITE_OK);
}

PowerLossVfs::~PowerLossVfs() {
  sqlite3_vfs_unregister(vfs_.get());
  sqlite3_vfs_register(real_, 1);
}

void PowerLossVfs::cut_after(std::uint64_t operations) {
  std::lock_guard lock(mutex_);
  left_ = operations;
}

bool PowerLossVfs::is_off() const {
  std::lock_guard lock(mutex_);
  return off_;
}

// A file that is there already when it is first met is on the disk.
void PowerLossVfs::opened(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (files_.contains(path)) return;
  File& file = files_[path];
  file.exists = std::filesystem::exists(path);
  if (file.exists) file.image = content(path);
}

bool PowerLossVfs::tick() {
  if (!off_ && left_ != 0) --left_;
  off_ = off_ || left_ == 0;
  return !off_;
}

// What is written at the moment of the cut may still arrive in part.
bool PowerLossVfs::change(const std::string& path, Kind kind, std::int64_t offset, std::string_view bytes) {
  std::lock_guard lock(mutex_);
  if (!off_) files_[path].pending.push_back({kind, offset, std::string(bytes)});
  return tick();
}

bool PowerLossVfs::sync(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (!tick()) return false;
  if (sync_ == Sync::kClaimedOnly) return true;
  File& file = files_[path];
  for (const Change& change : file.pending) apply(file, change);
  file.pending.clear();
  return true;
}

void PowerLossVfs::apply(File& file, const Change& change) {
  file.exists = change.kind != Kind::kRemove;
  const auto at = static_cast<std::size_t>(change.offset);
  if (change.kind == Kind::kRemove) file.image.clear();
  if (change.kind == Kind::kTruncate) file.image.resize(at);
  if (change.kind != Kind::kWrite) return;
  file.image.resize(std::max(file.image.size(), at + change.bytes.size()));
  file.image.replace(at, change.bytes.size(), change.bytes);
}

void PowerLossVfs::apply_part(File& file, const Change& change, Rng& rng) {
  if (change.kind != Kind::kWrite || rng.chance(0.7)) return apply(file, change);
  for (std::size_t at = 0; at < change.bytes.size();) {
    const std::size_t offset = static_cast<std::size_t>(change.offset) + at;
    const std::size_t size = std::min(kSectorBytes - offset % kSectorBytes, change.bytes.size() - at);
    if (rng.chance(0.5))
      apply(file, {Kind::kWrite, static_cast<std::int64_t>(offset), change.bytes.substr(at, size)});
    at += size;
  }
}

void PowerLossVfs::restore(Survives survives, Rng& rng) {
  std::lock_guard lock(mutex_);
  for (auto& [path, file] : files_) {
    for (const Change& change : file.pending) {
      if (survives == Survives::kNothing) break;
      const bool kept = survives == Survives::kEverything || rng.chance(0.5);
      if (survives == Survives::kEverything)
        apply(file, change);
      else if (kept)
        apply_part(file, change, rng);
      if (!kept && change.kind == Kind::kRemove) break;  // what follows was written to another file of that name
    }
    std::filesystem::remove(path);
    std::filesystem::remove(path + "-shm");
    if (file.exists) std::ofstream(path, std::ios::binary).write(file.image.data(), static_cast<std::streamsize>(file.image.size()));
  }
  files_.clear();
  left_ = ~std::uint64_t{0};
  off_ = false;
}

}  // namespace aether::store
