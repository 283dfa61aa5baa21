#include "store/sql/connection_pool.h"

namespace aether::store {

Result<void> ConnectionPool::read(const std::function<Result<void>(SqlConnection&)>& body) {
  auto connection = take();
  if (!connection) return fail(connection.error());
  auto done = in_transaction(**connection, Access::kRead, [&] { return body(**connection); });
  give_back(std::move(*connection));
  return done;
}

Result<std::unique_ptr<SqlConnection>> ConnectionPool::take() {
  std::unique_lock lock(mutex_);
  returned_.wait(lock, [&] { return !idle_.empty() || opened_ < capacity_; });
  if (!idle_.empty()) {
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    return connection;
  }
  ++opened_;
  lock.unlock();
  auto connection = open_();
  if (!connection) {
    lock.lock();
    --opened_;
    returned_.notify_one();
  }
  return connection;
}

void ConnectionPool::give_back(std::unique_ptr<SqlConnection> connection) {
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(connection));
  returned_.notify_one();
}

}  // namespace aether::store
