#include "bus/in_process/in_process_bus.h"

#include "bus/contract_test.h"

namespace aether::bus_contract {
namespace {

BusSetup make_in_process(std::size_t queue_capacity) {
  BusSetup setup;
  setup.bus = std::make_unique<InProcessBus>(InProcessBus::Options{queue_capacity});
  return setup;
}
INSTANTIATE_TEST_SUITE_P(InProcess, BusContract, ::testing::Values(BusFactory{&make_in_process}));

TEST(InProcessBus, AFullSubscriptionKeepsTheNewest) {
  InProcessBus bus({4});
  Gate gate;
  Inbox inbox;
  const auto subscription = bus.subscribe("x", [&, take = inbox.handler()](const BusMessage& message) {
    if (message.payload == "first") return gate.wait();
    take(message);
  });
  ASSERT_TRUE(subscription);
  ASSERT_TRUE(bus.publish("x", "first"));
  gate.wait_until_reached();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(bus.publish("x", std::to_string(i)));
  EXPECT_EQ(bus.counters().dropped, 6U);
  gate.open();
  ASSERT_TRUE(inbox.wait_for(4));
  EXPECT_EQ(inbox.messages().front().payload, "6");
  EXPECT_EQ(inbox.messages().back().payload, "9");
}

TEST(InProcessBus, CountersKeepWhatEndedSubscriptionsCounted) {
  InProcessBus bus;
  Inbox inbox;
  {
    const auto subscription = bus.subscribe("x", inbox.handler());
    ASSERT_TRUE(bus.publish("x", ""));
    ASSERT_TRUE(inbox.wait_for(1));
  }
  EXPECT_EQ(bus.counters().received, 1U);
  EXPECT_EQ(bus.counters().published, 1U);
}

TEST(InProcessBus, AHandlerMayPublish) {
  InProcessBus bus;
  Inbox inbox;
  const auto echo = bus.subscribe("ask", [&](const BusMessage& message) { (void)bus.publish("answer", message.payload); });
  const auto answers = bus.subscribe("answer", inbox.handler());
  ASSERT_TRUE(bus.publish("ask", "hello"));
  ASSERT_TRUE(inbox.wait_for(1));
  EXPECT_EQ(inbox.messages()[0].payload, "hello");
}

}  // namespace
}  // namespace aether::bus_contract
