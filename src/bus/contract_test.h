#pragma once
// What every adapter of the port Bus keeps. An adapter's test defines a BusFactory and instantiates the suite:
//   INSTANTIATE_TEST_SUITE_P(InProcess, BusContract, ::testing::Values(&make_in_process));
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "bus/bus.h"
#include "model/job.h"

namespace aether::bus_contract {

using namespace std::chrono_literals;

// Gives up only where something is broken; passing tests end at once.
inline constexpr auto kPatience = 20s;

// Waits for other threads without asserting how long they take.
template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds patience = kPatience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

// Collects messages from any thread.
class Inbox {
 public:
  Bus::Handler handler() {
    return [this](const BusMessage& message) {
      std::lock_guard lock(mutex_);
      messages_.push_back(message);
    };
  }
  std::vector<BusMessage> messages() const {
    std::lock_guard lock(mutex_);
    return messages_;
  }
  std::size_t size() const { return messages().size(); }
  bool wait_for(std::size_t count) const {
    return eventually([&] { return size() >= count; });
  }

 private:
  mutable std::mutex mutex_;
  std::vector<BusMessage> messages_;
};

// A handler that stands still until it is let go.
class Gate {
 public:
  void wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  void wait_until_reached() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return waiting_ > 0; });
  }
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool open_ = false;
};

struct BusSetup {
  std::unique_ptr<Bus> bus;             // null when the service is missing: the suite skips
  std::shared_ptr<void> keep_alive;     // a server, destroyed after the bus
  std::string missing;                  // why
};
struct BusFactory {
  // `queue_capacity` messages wait per subscription at most.
  BusSetup (*make)(std::size_t queue_capacity);
};

class BusContract : public ::testing::TestWithParam<BusFactory> {
 protected:
  void SetUp() override { use(1000); }
  void use(std::size_t queue_capacity) {
    setup_.bus.reset();
    setup_ = GetParam().make(queue_capacity);
    if (setup_.bus == nullptr) {
      ASSERT_EQ(std::getenv("CI"), nullptr) << "a missing service is a failure in CI: " << setup_.missing;
      GTEST_SKIP() << setup_.missing;
    }
  }
  Bus& bus() { return *setup_.bus; }
  std::unique_ptr<Bus::Subscription> subscribe(std::string_view pattern, Bus::Handler handler) {
    auto subscription = bus().subscribe(pattern, std::move(handler));
    EXPECT_TRUE(subscription) << subscription.error().message;
    return subscription ? std::move(*subscription) : nullptr;
  }
  void publish(std::string_view subject, std::string_view payload) {
    const Result<void> sent = bus().publish(subject, payload);
    ASSERT_TRUE(sent) << sent.error().message;
  }
  // A round trip through the bus: what was published before has reached the subscriptions of this client.
  void settle() {
    Inbox inbox;
    const auto subscription = subscribe("settle.here", inbox.handler());
    publish("settle.here", "");
    ASSERT_TRUE(inbox.wait_for(1));
  }

  BusSetup setup_;
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BusContract);

TEST_P(BusContract, IsConnectedAndNamed) {
  EXPECT_TRUE(eventually([&] { return bus().connected(); }));
  EXPECT_TRUE(bus().name() == "in_process" || bus().name() == "nats") << bus().name();
}

TEST_P(BusContract, AMessageArrivesWithItsSubjectAndBytes) {
  Inbox inbox;
  const auto subscription = subscribe("a.b", inbox.handler());
  const std::string payload("\0\xff{}\r\n", 6);
  publish("a.b", payload);
  publish("a.b", "");
  ASSERT_TRUE(inbox.wait_for(2));
  EXPECT_EQ(inbox.messages()[0].subject, "a.b");
  EXPECT_EQ(inbox.messages()[0].payload, payload);
  EXPECT_EQ(inbox.messages()[1].payload, "");
}

TEST_P(BusContract, WildcardsMatchWholeTokens) {
  Inbox one, rest, exact;
  const auto a = subscribe("t.*", one.handler());
  const auto b = subscribe("t.>", rest.handler());
  const auto c = subscribe("t.x", exact.handler());
  for (const char* subject : {"t.x", "t.y", "t.y.z", "u.x", "t"}) publish(subject, subject);
  settle();
  ASSERT_TRUE(one.wait_for(2) && rest.wait_for(3) && exact.wait_for(1));
  EXPECT_EQ(one.size(), 2U);
  EXPECT_EQ(rest.size(), 3U);
  EXPECT_EQ(exact.size(), 1U);
}

TEST_P(BusContract, EverySubscriptionGetsItsOwnCopy) {
  Inbox first, second;
  const auto a = subscribe("x", first.handler());
  const auto b = subscribe("x", second.handler());
  publish("x", "1");
  EXPECT_TRUE(first.wait_for(1));
  EXPECT_TRUE(second.wait_for(1));
}

TEST_P(BusContract, AfterUnsubscribeTheHandlerDoesNotRun) {
  std::atomic<int> calls = 0;
  std::atomic<bool> ended = false, ran_after_end = false;
  auto subscription = subscribe("x", [&](const BusMessage&) {
    ++calls;
    if (ended) ran_after_end = true;
  });
  std::atomic<bool> stop = false;
  std::thread publisher([&] {
    while (!stop) (void)bus().publish("x", "payload");
  });
  EXPECT_TRUE(eventually([&] { return calls > 10; }));
  subscription.reset();
  ended = true;
  const int at_end = calls;
  stop = true;
  publisher.join();
  settle();
  EXPECT_FALSE(ran_after_end);
  EXPECT_EQ(calls, at_end);
}

TEST_P(BusContract, AHandlerMayEndItsOwnSubscription) {
  struct State {
    std::mutex mutex;
    std::unique_ptr<Bus::Subscription> subscription;
    std::atomic<int> calls = 0;
  };
  const auto state = std::make_shared<State>();  // the bus may still be leaving the handler when the test ends
  {
    std::lock_guard lock(state->mutex);
    state->subscription = subscribe("x", [state](const BusMessage&) {
      const auto keep = state;
      std::lock_guard inner(keep->mutex);
      ++keep->calls;
      keep->subscription.reset();
    });
  }
  publish("x", "1");
  publish("x", "2");
  ASSERT_TRUE(eventually([&] { return state->calls >= 1; }));
  settle();
  EXPECT_EQ(state->calls, 1);
}

TEST_P(BusContract, OnePublishersOrderIsKept) {
  Inbox inbox;
  const auto subscription = subscribe("order.>", inbox.handler());
  constexpr std::size_t kCount = 500;
  for (std::size_t i = 0; i < kCount; ++i) publish(i % 2 == 0 ? "order.a" : "order.b", std::to_string(i));
  ASSERT_TRUE(inbox.wait_for(kCount));
  const auto messages = inbox.messages();
  for (std::size_t i = 0; i < kCount; ++i) ASSERT_EQ(messages[i].payload, std::to_string(i));
}

TEST_P(BusContract, ManyThreadsMayPublish) {
  use(10'000);
  Inbox inbox;
  const auto subscription = subscribe("many.*", inbox.handler());
  constexpr int kThreads = 4, kEach = 250;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) publish("many." + std::to_string(t), std::to_string(i));
    });
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(inbox.wait_for(kThreads * kEach));
  std::vector<int> next(kThreads, 0);
  for (const BusMessage& message : inbox.messages())
    EXPECT_EQ(std::stoi(message.payload), next[std::stoul(message.subject.substr(5))]++);
  EXPECT_EQ(bus().counters().published, static_cast<std::uint64_t>(kThreads * kEach));
  EXPECT_TRUE(eventually([&] { return bus().counters().received == static_cast<std::uint64_t>(kThreads * kEach); }));
}

TEST_P(BusContract, PayloadsUpToTheLimitTravelAndLargerOnesAreRefused) {
  Inbox inbox;
  const auto subscription = subscribe("big", inbox.handler());
  publish("big", std::string(kMaxBusMessageBytes, 'x'));
  const Result<void> refused = bus().publish("big", std::string(kMaxBusMessageBytes + 1, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  ASSERT_TRUE(inbox.wait_for(1));
  EXPECT_EQ(inbox.messages()[0].payload.size(), kMaxBusMessageBytes);
  EXPECT_EQ(bus().counters().publish_failed, 1U);
}

TEST_P(BusContract, BadSubjectsAndPatternsAreRefused) {
  for (const char* subject : {"", "a.*", "a.>", "a b", "a..b", ".a", "a.", "a\r\nPUB b 0\r\n\r\n"}) {
    const Result<void> sent = bus().publish(subject, "x");
    ASSERT_FALSE(sent) << subject;
    EXPECT_EQ(sent.error().code, ErrorCode::kInvalidArgument) << subject;
  }
  for (const char* pattern : {"", "a..b", "a b", "a.>.b", "a.b*"}) {
    const auto subscription = bus().subscribe(pattern, [](const BusMessage&) {});
    ASSERT_FALSE(subscription) << pattern;
    EXPECT_EQ(subscription.error().code, ErrorCode::kInvalidArgument) << pattern;
  }
}

TEST_P(BusContract, ASlowHandlerDelaysNobodyAndItsDropsAreCounted) {
  constexpr std::size_t kCapacity = 16;
  constexpr int kCount = 200;
  use(kCapacity);
  Gate gate;
  std::atomic<int> slow_calls = 0;
  const auto slow = subscribe("s.slow", [&](const BusMessage&) {
    ++slow_calls;
    gate.wait();
  });
  publish("s.slow", "first");
  gate.wait_until_reached();
  for (int i = 0; i < kCount; ++i) publish("s.slow", std::to_string(i));
  Inbox inbox;
  const auto quick = subscribe("s.quick", inbox.handler());
  publish("s.quick", "now");
  EXPECT_TRUE(inbox.wait_for(1));  // while the slow handler still stands
  EXPECT_EQ(slow_calls, 1);
  EXPECT_TRUE(eventually([&] { return bus().counters().dropped >= kCount - 2 * kCapacity; }));
  gate.open();
  EXPECT_TRUE(eventually([&] { return slow_calls + static_cast<int>(bus().counters().dropped) == kCount + 1; }))
      << slow_calls << " calls, " << bus().counters().dropped << " dropped";
}

TEST_P(BusContract, ASubscriptionMayOutliveItsBus) {
  Inbox inbox;
  auto subscription = subscribe("x", inbox.handler());
  publish("x", "1");
  EXPECT_TRUE(inbox.wait_for(1));
  setup_.bus.reset();
  subscription.reset();
  EXPECT_EQ(inbox.size(), 1U);
}

}  // namespace aether::bus_contract
