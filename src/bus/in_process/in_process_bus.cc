#include "bus/in_process/in_process_bus.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "bus/checks.h"
#include "bus/subjects.h"

namespace aether {
namespace {

constexpr std::chrono::seconds kLongWait(3600);  // close() wakes the thread; the time only bounds one wait
constexpr std::size_t kMessagesPerTurn = 256;

using SharedMessage = std::shared_ptr<const BusMessage>;

}  // namespace

// One subscription. Its thread owns the handler's calls; publishers only push.
class InProcessBus::Member {
 public:
  Member(std::string pattern, Handler handler, std::size_t capacity)
      : pattern_(std::move(pattern)), handler_(std::move(handler)), queue_(capacity, WhenFull::kDropOldest) {}

  bool wants(std::string_view subject) const { return subjects::matches(pattern_, subject); }
  void push(const SharedMessage& message) { queue_.push(message); }
  std::uint64_t dropped() const { return queue_.dropped(); }
  std::uint64_t received() const { return received_.load(std::memory_order_relaxed); }

  static void start(const std::shared_ptr<Member>& member) {
    member->thread_ = std::thread([member] { member->run(); });
  }

  // Afterwards the handler does not run. Called by the handler itself, the running call is its last.
  void stop() {
    stopped_.store(true);
    queue_.close();
    if (running_here == this) return;
    std::lock_guard lock(join_mutex_);
    if (thread_.joinable()) thread_.join();
  }

  // Joinable here only when the handler ended its own subscription: then the thread is past its last use of this.
  ~Member() {
    if (thread_.joinable()) thread_.detach();
  }

 private:
  inline static thread_local const Member* running_here = nullptr;

  void run() {
    running_here = this;
    while (!stopped_.load()) {
      for (const SharedMessage& message : queue_.drain(kLongWait, kMessagesPerTurn)) {
        if (stopped_.load()) return;
        received_.fetch_add(1, std::memory_order_relaxed);
        handler_(*message);
      }
    }
  }

  const std::string pattern_;
  const Handler handler_;
  BoundedQueue<SharedMessage> queue_;
  std::atomic<bool> stopped_{false};
  std::atomic<std::uint64_t> received_{0};
  std::mutex join_mutex_;
  std::thread thread_;
};

struct InProcessBus::Hub {
  explicit Hub(std::size_t capacity) : queue_capacity(capacity) {}

  const std::size_t queue_capacity;
  mutable std::mutex mutex;  // held while a message enters all queues: every subscriber sees one order
  std::vector<std::shared_ptr<Member>> members;
  BusCounters ended;         // of subscriptions that are gone, and what publishers count
  bool open = true;

  void remove(const std::shared_ptr<Member>& member) {
    member->stop();
    std::lock_guard lock(mutex);
    const auto at = std::find(members.begin(), members.end(), member);
    if (at == members.end()) return;
    ended.received += member->received();
    ended.dropped += member->dropped();
    members.erase(at);
  }
};

namespace {

template <class Remove>
class EndWhenDestroyed final : public Bus::Subscription {
 public:
  explicit EndWhenDestroyed(Remove remove) : remove_(std::move(remove)) {}
  ~EndWhenDestroyed() override { remove_(); }

 private:
  Remove remove_;
};

}  // namespace

InProcessBus::InProcessBus() : InProcessBus(Options{}) {}
InProcessBus::InProcessBus(Options options) : hub_(std::make_shared<Hub>(options.queue_capacity)) {}

InProcessBus::~InProcessBus() {
  std::vector<std::shared_ptr<Member>> members;
  {
    std::lock_guard lock(hub_->mutex);
    hub_->open = false;
    members = hub_->members;
  }
  for (const auto& member : members) hub_->remove(member);
}

Result<void> InProcessBus::publish(std::string_view subject, std::string_view payload) {
  const Result<void> sound = bus::check_message(subject, payload);
  const auto message = sound ? std::make_shared<const BusMessage>(BusMessage{std::string(subject), std::string(payload)})
                             : SharedMessage{};
  std::lock_guard lock(hub_->mutex);
  if (!sound) {
    ++hub_->ended.publish_failed;
    return sound;
  }
  ++hub_->ended.published;
  for (const auto& member : hub_->members)
    if (member->wants(subject)) member->push(message);
  return {};
}

Result<std::unique_ptr<Bus::Subscription>> InProcessBus::subscribe(std::string_view pattern, Handler handler) {
  AETHER_TRY(bus::check_pattern(pattern));
  auto member = std::make_shared<Member>(std::string(pattern), std::move(handler), hub_->queue_capacity);
  Member::start(member);
  {
    std::lock_guard lock(hub_->mutex);
    hub_->members.push_back(member);
  }
  auto remove = [hub = hub_, member] { hub->remove(member); };
  return std::make_unique<EndWhenDestroyed<decltype(remove)>>(std::move(remove));
}

BusCounters InProcessBus::counters() const {
  std::lock_guard lock(hub_->mutex);
  BusCounters total = hub_->ended;
  for (const auto& member : hub_->members) {
    total.received += member->received();
    total.dropped += member->dropped();
  }
  return total;
}

}  // namespace aether
