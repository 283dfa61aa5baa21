#include "bus/signed/signed_bus.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>
#include <vector>

#include "base/files.h"
#include "bus/in_process/in_process_bus.h"

namespace aether {
namespace {

struct TemporaryDirectory {
  std::string path;
  TemporaryDirectory() {
    char name[] = "/tmp/aether-signed-XXXXXX";
    path = mkdtemp(name);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

class SignedBusTest : public testing::Test {
 protected:
  SignedBusTest() : orchestrator_(bus_, *CommandKey::ensure(state_.path)) {}

  // What reaches the node of everything that is sent raw, in order; an end mark shows that all of it was handled.
  std::vector<std::string> received_of(const std::vector<BusMessage>& sent) {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::string> received;
    bool ended = false;
    auto subscription = node_.subscribe("aether.commands.n1", [&](const BusMessage& message) {
      std::lock_guard lock(mutex);
      if (message.payload == R"({"end":1})")
        ended = true;
      else
        received.push_back(message.payload);
      changed.notify_all();
    });
    EXPECT_TRUE(subscription);
    for (const BusMessage& message : sent) EXPECT_TRUE(bus_.publish(message.subject, message.payload));
    EXPECT_TRUE(orchestrator_.publish("aether.commands.n1", R"({"end":1})"));
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return ended; }));
    lock.unlock();
    subscription->reset();
    return received;
  }
  // As it leaves the orchestrator.
  std::string signed_by(SigningBus& orchestrator, const std::string& subject, const std::string& command) {
    std::mutex mutex;
    std::condition_variable changed;
    std::string raw;
    auto subscription = bus_.subscribe(subject, [&](const BusMessage& message) {
      std::lock_guard lock(mutex);
      raw = message.payload;
      changed.notify_all();
    });
    EXPECT_TRUE(orchestrator.publish(subject, command));
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return !raw.empty(); }));
    lock.unlock();
    subscription->reset();
    return raw;
  }

  TemporaryDirectory state_;
  InProcessBus bus_;
  SigningBus orchestrator_;
  VerifyingBus node_{bus_, command_public_key_path(state_.path)};
};

constexpr const char* kSubject = "aether.commands.n1";

TEST_F(SignedBusTest, ASignedCommandArrivesByteForByte) {
  const std::string command = R"({"kind":"stop","node":"n1","grace_s":30})";
  const std::string raw = signed_by(orchestrator_, kSubject, command);
  EXPECT_TRUE(raw.starts_with(command.substr(0, command.size() - 1))) << "readers that know no signatures read on";
  EXPECT_EQ(received_of({{kSubject, raw}}), (std::vector<std::string>{command}));
  EXPECT_EQ(node_.refused(), 0u);
}

TEST_F(SignedBusTest, WhatIsNotSignedOrSignedByAnotherIsRefused) {
  const std::string command = R"({"kind":"stop","node":"n1"})";
  TemporaryDirectory elsewhere;
  SigningBus stranger(bus_, *CommandKey::ensure(elsewhere.path));
  EXPECT_TRUE(received_of({{kSubject, command},
                           {kSubject, ""},
                           {kSubject, R"(,"signature":"00"})"},
                           {kSubject, signed_by(stranger, kSubject, command)}})
                  .empty());
  EXPECT_EQ(node_.refused(), 4u);
}

TEST_F(SignedBusTest, ACommandForAnotherNodeIsNoCommandForThisOne) {
  const std::string raw = signed_by(orchestrator_, "aether.commands.n2", R"({"kind":"stop"})");
  EXPECT_TRUE(received_of({{kSubject, raw}}).empty());
}

TEST_F(SignedBusTest, EveryByteCounts) {
  const std::string raw = signed_by(orchestrator_, kSubject, R"({"kind":"stop","grace_s":30})");
  std::vector<BusMessage> changed;
  for (std::size_t at = 0; at < raw.size(); ++at) {
    std::string other = raw;
    other[at] = other[at] == '1' ? '2' : '1';
    changed.push_back({kSubject, other});
    other = raw;
    other.erase(at, 1);
    changed.push_back({kSubject, other});
    other = raw;
    other.insert(at, 1, ' ');
    changed.push_back({kSubject, other});
  }
  changed.push_back({kSubject, raw + " "});
  EXPECT_TRUE(received_of(changed).empty());
  EXPECT_EQ(node_.refused(), changed.size());
}

TEST_F(SignedBusTest, WhatIsNoCommandPassesAsItIs) {
  EXPECT_EQ(signed_by(orchestrator_, "aether.events.n1", "plain"), "plain");
}

TEST_F(SignedBusTest, ANodeWithoutTheKeyObeysNobodyUntilItHasIt) {
  TemporaryDirectory fresh;
  VerifyingBus joining(bus_, command_public_key_path(fresh.path));
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> received;
  auto subscription = joining.subscribe(kSubject, [&](const BusMessage& message) {
    std::lock_guard lock(mutex);
    received.push_back(message.payload);
    changed.notify_all();
  });
  ASSERT_TRUE(orchestrator_.publish(kSubject, R"({"n":1})"));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (joining.refused() == 0 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ASSERT_EQ(joining.refused(), 1u);
  const auto key = read_file(command_public_key_path(state_.path));
  ASSERT_TRUE(key);
  ASSERT_TRUE(write_file_durably(command_public_key_path(fresh.path), *key));
  ASSERT_TRUE(orchestrator_.publish(kSubject, R"({"n":2})"));
  std::unique_lock lock(mutex);
  EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return !received.empty(); }));
  EXPECT_EQ(received, (std::vector<std::string>{R"({"n":2})"}));
}

TEST(CommandKeyFiles, TheKeyStaysAndItsPrivateHalfIsNobodyElses) {
  TemporaryDirectory state;
  const auto first = CommandKey::ensure(state.path);
  ASSERT_TRUE(first) << first.error().message;
  struct stat info {};
  ASSERT_EQ(stat(command_key_path(state.path).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  std::filesystem::remove(command_public_key_path(state.path));
  const auto again = CommandKey::ensure(state.path);
  ASSERT_TRUE(again);
  EXPECT_EQ(*first->sign("x"), *again->sign("x"));
  EXPECT_TRUE(std::filesystem::exists(command_public_key_path(state.path)));
  ASSERT_EQ(chmod(command_key_path(state.path).c_str(), 0644), 0);
  const auto refused = CommandKey::ensure(state.path);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kPermissionDenied);
}

}  // namespace
}  // namespace aether
