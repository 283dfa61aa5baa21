#include "executor/posix/side_by_side.h"

#include <algorithm>

namespace aether::executor {

SideBySide::~SideBySide() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  more_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void SideBySide::run(std::size_t count, const std::function<void(std::size_t)>& work) {
  if (count == 0) return;
  std::unique_lock lock(mutex_);
  work_ = &work;
  next_ = 0;
  count_ = left_ = count;
  while (threads_.size() + 1 < std::min(count, at_once_)) threads_.emplace_back([this] { serve(); });
  if (count > 1) more_.notify_all();
  take(lock);
  done_.wait(lock, [&] { return left_ == 0; });
  work_ = nullptr;
}

void SideBySide::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    more_.wait(lock, [&] { return ending_ || next_ < count_; });
    if (ending_) return;
    take(lock);
  }
}

void SideBySide::take(std::unique_lock<std::mutex>& lock) {
  while (next_ < count_) {
    const std::size_t own = next_++;
    lock.unlock();
    (*work_)(own);
    lock.lock();
    if (--left_ == 0) done_.notify_all();
  }
}

}  // namespace aether::executor
