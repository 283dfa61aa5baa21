#pragma once
// Work that mostly waits, for the disk or for a process, side by side on threads that stay.
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace aether::executor {

class SideBySide {
 public:
  // With the caller's own thread so many at once; the others are started when they are first needed.
  explicit SideBySide(std::size_t at_once) : at_once_(at_once) {}
  SideBySide(const SideBySide&) = delete;
  SideBySide& operator=(const SideBySide&) = delete;
  ~SideBySide();

  // work(0) to work(count - 1), in any order; returns when all of them have returned. One caller at a time.
  void run(std::size_t count, const std::function<void(std::size_t)>& work);

 private:
  void serve();
  void take(std::unique_lock<std::mutex>& lock);

  const std::size_t at_once_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable more_, done_;
  const std::function<void(std::size_t)>* work_ = nullptr;
  std::size_t next_ = 0, count_ = 0, left_ = 0;
  bool ending_ = false;
};

}  // namespace aether::executor
