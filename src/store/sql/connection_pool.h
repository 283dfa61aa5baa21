#pragma once
// Connections shared by threads: a pool for readers, a single one behind a lock for a writer.
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "store/sql/connection.h"

namespace aether::store {

// Thread-safe. Opens connections as they are needed, at most `capacity`; with all of them in use the caller
// waits.
class ConnectionPool {
 public:
  using Opener = std::function<Result<std::unique_ptr<SqlConnection>>()>;
  ConnectionPool(std::size_t capacity, Opener open) : capacity_(capacity), open_(std::move(open)) {}

  // Runs `body` in a read transaction of its own.
  Result<void> read(const std::function<Result<void>(SqlConnection&)>& body);

 private:
  Result<std::unique_ptr<SqlConnection>> take();
  void give_back(std::unique_ptr<SqlConnection> connection);

  const std::size_t capacity_;
  const Opener open_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<SqlConnection>> idle_;
  std::size_t opened_ = 0;
};

// What `body` reads in a transaction of the pool.
template <class T>
Result<T> read_value(ConnectionPool& pool, const std::function<Result<T>(SqlConnection&)>& body) {
  std::optional<Result<T>> result;
  AETHER_TRY(pool.read([&](SqlConnection& connection) -> Result<void> {
    result.emplace(body(connection));
    if (!*result) return fail(result->error());
    return {};
  }));
  return std::move(*result);
}

// kNotFound with `what` when nothing was found.
template <class T>
Result<T> found_or(Result<std::optional<T>> found, const std::string& what) {
  if (!found) return fail(std::move(found).error());
  if (!*found) return fail(ErrorCode::kNotFound, what);
  return std::move(**found);
}

// A mutex that lets its callers in by the order in which they came: maintenance, which takes it again and again, can't
// keep out what appends samples.
class FairMutex {
 public:
  void lock() {
    std::unique_lock lock(mutex_);
    const std::uint64_t own = next_++;
    turn_.wait(lock, [&] { return own == serving_; });
  }
  void unlock() {
    {
      std::lock_guard lock(mutex_);
      ++serving_;
    }
    turn_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable turn_;
  std::uint64_t next_ = 0, serving_ = 0;
};

// Thread-safe: whoever writes waits for the writer before.
template <class Connection>
class LockedConnection {
 public:
  explicit LockedConnection(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
  Result<void> write(const std::function<Result<void>(Connection&)>& body) {
    std::lock_guard lock(mutex_);
    return in_transaction(*connection_, Access::kWrite, [&] { return body(*connection_); });
  }
  // Without a transaction around it.
  Result<void> use(const std::function<Result<void>(Connection&)>& body) {
    std::lock_guard lock(mutex_);
    return body(*connection_);
  }

 private:
  FairMutex mutex_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace aether::store
