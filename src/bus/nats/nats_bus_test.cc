#include "bus/nats/nats_bus.h"

#include "bus/contract_test.h"
#include "bus/nats/test_server.h"

namespace aether::bus_contract {
namespace {

// One server for the whole suite; it ends with the program.
std::shared_ptr<TestNatsServer> suite_server(std::string& missing) {
  static std::string reason;
  static const std::shared_ptr<TestNatsServer> server = [] {
    auto started = TestNatsServer::start();
    if (!started) reason = started.error().message;
    return started ? std::shared_ptr<TestNatsServer>(std::move(*started)) : nullptr;
  }();
  missing = reason;
  return server;
}

BusSetup make_nats(std::size_t queue_capacity) {
  BusSetup setup;
  const auto server = suite_server(setup.missing);
  if (server == nullptr) return setup;
  NatsBus::Options options;
  options.url = server->url();
  options.queue_capacity = queue_capacity;
  options.require_connected = true;
  auto bus = NatsBus::open(options);
  if (bus)
    setup.bus = std::move(*bus);
  else
    setup.missing = bus.error().message;
  return setup;
}
INSTANTIATE_TEST_SUITE_P(Nats, BusContract, ::testing::Values(BusFactory{&make_nats}));

// Each test has a server of its own, which it may stop.
class NatsBusTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = TestNatsServer::start();
    if (!server) {
      ASSERT_EQ(std::getenv("CI"), nullptr) << "a missing service is a failure in CI: " << server.error().message;
      GTEST_SKIP() << server.error().message;
    }
    server_ = std::move(*server);
  }
  std::unique_ptr<NatsBus> open(bool require_connected = true) {
    NatsBus::Options options;
    options.url = server_->url();
    options.require_connected = require_connected;
    auto bus = NatsBus::open(options);
    EXPECT_TRUE(bus) << bus.error().message;
    return bus ? std::move(*bus) : nullptr;
  }
  // Publishes until one copy arrives: after a reconnect the subscription comes back a moment later.
  static bool reaches(Bus& from, const Inbox& inbox, std::string_view subject) {
    const std::size_t before = inbox.size();
    return eventually([&] {
      (void)from.publish(subject, "again");
      return inbox.size() > before;
    });
  }

  std::unique_ptr<TestNatsServer> server_;
};

TEST_F(NatsBusTest, TwoClientsTalkThroughTheServer) {
  const auto sender = open(), receiver = open();
  Inbox inbox;
  const auto subscription = receiver->subscribe("aether.events.*", inbox.handler());
  ASSERT_TRUE(subscription);
  ASSERT_TRUE(sender->publish("aether.events.n1", "hello"));
  ASSERT_TRUE(inbox.wait_for(1));
  EXPECT_EQ(inbox.messages()[0].subject, "aether.events.n1");
  EXPECT_EQ(sender->counters().received, 0U);
  EXPECT_EQ(receiver->counters().received, 1U);
}

TEST_F(NatsBusTest, SurvivesARestartOfTheServer) {
  const auto bus = open();
  Inbox inbox;
  const auto subscription = bus->subscribe("x", inbox.handler());
  ASSERT_TRUE(subscription);
  ASSERT_TRUE(bus->publish("x", "before"));
  ASSERT_TRUE(inbox.wait_for(1));

  server_->stop();
  ASSERT_TRUE(eventually([&] { return !bus->connected(); }));
  const Result<void> away = bus->publish("x", "while away");
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(bus->counters().publish_failed, 1U);

  ASSERT_TRUE(server_->restart());
  ASSERT_TRUE(eventually([&] { return bus->connected(); }));
  EXPECT_TRUE(reaches(*bus, inbox, "x"));
  for (const BusMessage& message : inbox.messages()) EXPECT_NE(message.payload, "while away");
  EXPECT_TRUE(eventually([&] { return bus->counters().reconnects == 1; }));
}

TEST_F(NatsBusTest, MayOpenAndSubscribeBeforeTheServerIsUp) {
  server_->stop();
  const auto bus = open(false);
  EXPECT_FALSE(bus->connected());
  EXPECT_EQ(bus->publish("x", "").error().code, ErrorCode::kUnavailable);
  Inbox inbox;
  const auto subscription = bus->subscribe("x", inbox.handler());
  ASSERT_TRUE(subscription);
  ASSERT_TRUE(server_->restart());
  ASSERT_TRUE(eventually([&] { return bus->connected(); }));
  EXPECT_TRUE(reaches(*bus, inbox, "x"));
}

TEST_F(NatsBusTest, MaySubscribeWhileTheServerIsAway) {
  const auto bus = open();
  server_->stop();
  ASSERT_TRUE(eventually([&] { return !bus->connected(); }));
  Inbox inbox;
  const auto subscription = bus->subscribe("x", inbox.handler());
  ASSERT_TRUE(subscription);
  ASSERT_TRUE(server_->restart());
  EXPECT_TRUE(reaches(*bus, inbox, "x"));
}

TEST_F(NatsBusTest, RequireConnectedFailsWithoutAServer) {
  NatsBus::Options options;
  options.url = server_->url();
  options.require_connected = true;
  server_->stop();
  const auto bus = NatsBus::open(options);
  ASSERT_FALSE(bus);
  EXPECT_EQ(bus.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(bus.error().message.find("NATS_URL"), std::string::npos);
}

TEST_F(NatsBusTest, MayBeDestroyedWhileTheServerIsAway) {
  auto bus = open();
  Inbox inbox;
  auto subscription = bus->subscribe("x", inbox.handler());
  server_->stop();
  ASSERT_TRUE(eventually([&] { return !bus->connected(); }));
  bus.reset();
  subscription->reset();
  EXPECT_EQ(inbox.size(), 0U);
}

TEST_F(NatsBusTest, MayBeDestroyedBeforeTheServerWasEverUp) {
  server_->stop();
  auto bus = open(false);
  Inbox inbox;
  auto subscription = bus->subscribe("x", inbox.handler());
  ASSERT_TRUE(subscription);
  bus.reset();
  EXPECT_EQ(inbox.size(), 0U);
}

// A hung server keeps its sockets open: only missing answers to PING tell.
TEST_F(NatsBusTest, NoticesAServerThatHangs) {
  NatsBus::Options options;
  options.url = server_->url();
  options.require_connected = true;
  options.ping_interval = 100ms;
  const auto bus = NatsBus::open(options);
  ASSERT_TRUE(bus) << bus.error().message;
  server_->freeze();
  EXPECT_TRUE(eventually([&] { return !(*bus)->connected(); }));
  server_->thaw();
  EXPECT_TRUE(eventually([&] { return (*bus)->connected(); }));
}

TEST_F(NatsBusTest, TlsIsNeverSilentlyLeftOut) {
  NatsBus::Options options;
  options.url = "tls://127.0.0.1:" + std::to_string(server_->port());
  options.require_connected = true;
  EXPECT_FALSE(NatsBus::open(options));  // the server speaks plain text only
}

TEST(NatsUrl, SoundOnesAreShownWithoutSecrets) {
  EXPECT_EQ(check_nats_url("nats://127.0.0.1:4222").value(), "nats://127.0.0.1:4222");
  EXPECT_EQ(check_nats_url("nats://user:p4ss@nats.example.org").value(), "nats://nats.example.org");
  EXPECT_EQ(check_nats_url("tls://[::1]:4222").value(), "tls://[::1]:4222");
  EXPECT_EQ(check_nats_url("localhost:4222").value(), "nats://localhost:4222");
}

TEST(NatsUrl, BadOnesNameTheSettingAndNotTheSecret) {
  for (const char* url : {"", "nats://", "http://h:1", "nats://h:0", "nats://h:65536", "nats://h:", "nats://h:x", "nats://h h",
                          "nats://:4222", "nats://::1:4222", "nats://[::1", "nats://h:1/x", "nats://h:1,nats://i:1",
                          "nats://u:p4ss@:1", "nats://h\r\n:1"}) {
    NatsBus::Options options;
    options.url = url;
    const auto bus = NatsBus::open(options);
    ASSERT_FALSE(bus) << url;
    EXPECT_EQ(bus.error().code, ErrorCode::kInvalidArgument) << url;
    EXPECT_EQ(bus.error().field, "NATS_URL") << url;
    EXPECT_NE(bus.error().message.find("NATS_URL"), std::string::npos) << url;
    EXPECT_EQ(bus.error().message.find("p4ss"), std::string::npos) << url;
  }
}

}  // namespace
}  // namespace aether::bus_contract
