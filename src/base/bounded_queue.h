#pragma once
// The only way two threads exchange values: bounded, with its policy for "full" fixed at construction.
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace aether {

enum class WhenFull {
  kReject,      // push returns false; the sender tells its caller
  kDropOldest,  // the oldest value makes room and is counted; for telemetry, where the newest matters
  kBlock,       // push waits; only for senders that may stand still
};

// Thread-safe. After close(), push returns false and drain returns what is left, then nothing.
template <class T>
class BoundedQueue {
 public:
  BoundedQueue(std::size_t capacity, WhenFull when_full) : capacity_(capacity), when_full_(when_full) {}

  // False when the value was not taken (full with kReject, or closed).
  bool push(T value) {
    std::unique_lock lock(mutex_);
    if (when_full_ == WhenFull::kBlock)
      space_.wait(lock, [&] { return closed_ || values_.size() < capacity_; });
    if (closed_) return false;
    if (values_.size() >= capacity_) {
      ++dropped_;
      if (when_full_ == WhenFull::kReject) return false;
      values_.pop_front();
    }
    values_.push_back(std::move(value));
    ready_.notify_one();
    return true;
  }

  // Everything queued, at most `limit` values, waiting up to `timeout` for the first one.
  std::vector<T> drain(std::chrono::microseconds timeout, std::size_t limit = SIZE_MAX) {
    std::unique_lock lock(mutex_);
    ready_.wait_for(lock, timeout, [&] { return closed_ || !values_.empty(); });
    std::vector<T> out;
    while (!values_.empty() && out.size() < limit) {
      out.push_back(std::move(values_.front()));
      values_.pop_front();
    }
    space_.notify_all();
    return out;
  }

  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    ready_.notify_all();
    space_.notify_all();
  }

  bool closed() const {
    std::lock_guard lock(mutex_);
    return closed_;
  }
  std::size_t size() const {
    std::lock_guard lock(mutex_);
    return values_.size();
  }
  // Values refused or pushed out since construction.
  std::uint64_t dropped() const {
    std::lock_guard lock(mutex_);
    return dropped_;
  }

 private:
  const std::size_t capacity_;
  const WhenFull when_full_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::condition_variable space_;
  std::deque<T> values_;
  std::uint64_t dropped_ = 0;
  bool closed_ = false;
};

}  // namespace aether
