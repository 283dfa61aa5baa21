#include "predictor/http/circuit_breaker.h"

namespace aether {

CircuitBreaker::CircuitBreaker(Options options, const Clock& clock) : options_(options), clock_(clock) {}

bool CircuitBreaker::allow() {
  std::lock_guard lock(mutex_);
  if (failures_ < options_.failures) return true;
  const Mono now = clock_.mono();
  if (now < closed_until_) return false;
  closed_until_ = now + options_.pause;
  return true;
}

void CircuitBreaker::succeeded() {
  std::lock_guard lock(mutex_);
  failures_ = 0;
}

void CircuitBreaker::failed() {
  std::lock_guard lock(mutex_);
  if (++failures_ >= options_.failures) closed_until_ = clock_.mono() + options_.pause;
}

}  // namespace aether
