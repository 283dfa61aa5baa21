#include "bus/subjects.h"

#include <gtest/gtest.h>

namespace aether::subjects {
namespace {

TEST(Subjects, TelemetryNamesNodeAndIndex) {
  EXPECT_EQ(telemetry(NodeId("node-3"), 0), "aether.telemetry.gpu-node-3-0");
  const auto source = parse_telemetry("aether.telemetry.gpu-node-3-12");
  ASSERT_TRUE(source);
  EXPECT_EQ(source->node, NodeId("node-3"));
  EXPECT_EQ(source->gpu_index, 12);
}

TEST(Subjects, PrototypeSubjectBelongsToTheUnknownNode) {
  const auto source = parse_telemetry("aether.telemetry.gpu-7");
  ASSERT_TRUE(source);
  EXPECT_EQ(source->node, NodeId("unknown"));
  EXPECT_EQ(source->gpu_index, 7);
}

TEST(Subjects, EveryTelemetrySubjectParsesBack) {
  for (const char* node : {"a", "0", "node-03", "a--b", "gpu-1", "unknown"})
    for (const int index : {0, 1, 10, 4095}) {
      const auto source = parse_telemetry(telemetry(NodeId(node), index));
      ASSERT_TRUE(source) << node << " " << index;
      EXPECT_EQ(source->node, NodeId(node));
      EXPECT_EQ(source->gpu_index, index);
    }
}

TEST(Subjects, MalformedTelemetrySubjectsAreRefused) {
  for (const char* subject :
       {"", "aether.telemetry.", "aether.telemetry.gpu-", "aether.telemetry.gpu-x", "aether.telemetry.gpu-node-",
        "aether.telemetry.gpu--0", "aether.telemetry.gpu-n-00", "aether.telemetry.gpu-n-+1", "aether.telemetry.gpu-n--1",
        "aether.telemetry.gpu-n-99999", "aether.telemetry.gpu-n.0", "aether.telemetry.gpu-N-0",
        "aether.telemetry.gpu-n-0.x", "aether.telemetry.gpu-n m-0", "aether.events.n", "xaether.telemetry.gpu-0"})
    EXPECT_FALSE(parse_telemetry(subject)) << subject;
}

TEST(Subjects, EventsNameTheirNode) {
  EXPECT_EQ(events(NodeId("n1")), "aether.events.n1");
  EXPECT_EQ(commands(NodeId("n1")), "aether.commands.n1");
  EXPECT_EQ(parse_events("aether.events.n1"), NodeId("n1"));
  for (const char* subject : {"aether.events.", "aether.events.n1.x", "aether.events.*", "aether.commands.n1"})
    EXPECT_FALSE(parse_events(subject)) << subject;
}

TEST(SubjectsDeathTest, ANameThatIsNotOneNeverEntersASubject) {
  for (const char* node : {"", "*", ">", "a.b", "a b", "n\r\nPUB x 0", "A", "-a"}) {
    EXPECT_DEATH(commands(NodeId(node)), "is_valid_name") << node;
    EXPECT_DEATH(events(NodeId(node)), "is_valid_name") << node;
    EXPECT_DEATH(telemetry(NodeId(node), 0), "is_valid_name") << node;
  }
  EXPECT_DEATH(telemetry(NodeId("a"), -1), "gpu_index");
}

TEST(Subjects, PublishableHasNoWildcardSpaceOrEmptyToken) {
  EXPECT_TRUE(is_publishable("aether.events.n1"));
  EXPECT_TRUE(is_publishable(std::string(kMaxSubjectBytes, 'a')));
  for (const std::string& subject :
       {std::string(""), std::string("."), std::string("a."), std::string(".a"), std::string("a..b"),
        std::string("a.*"), std::string("a.>"), std::string("a*"), std::string("a b"), std::string("a\tb"),
        std::string("a\r\nPUB b 0"), std::string("a\0b", 3), std::string("a\x7f"), std::string("\xc3\xa4"),
        std::string(kMaxSubjectBytes + 1, 'a')})
    EXPECT_FALSE(is_publishable(subject)) << subject;
}

TEST(Subjects, PatternsHoldWildcardsAsWholeTokens) {
  for (const char* pattern : {"a", "*", ">", "a.*", "a.>", "*.b.*", "a.*.>"}) EXPECT_TRUE(is_pattern(pattern)) << pattern;
  for (const char* pattern : {"", "a*", "a.>.b", ">.a", "a..*", "a. ", "a.>x", "a.**"})
    EXPECT_FALSE(is_pattern(pattern)) << pattern;
}

TEST(Subjects, MatchFollowsTheRulesOfNats) {
  EXPECT_TRUE(matches("a.b", "a.b"));
  EXPECT_TRUE(matches("a.*", "a.b"));
  EXPECT_TRUE(matches("*.b", "a.b"));
  EXPECT_TRUE(matches("a.>", "a.b.c"));
  EXPECT_TRUE(matches(">", "a"));
  EXPECT_TRUE(matches(kAllTelemetry, telemetry(NodeId("n-1"), 3)));
  EXPECT_TRUE(matches(kAllEvents, events(NodeId("n1"))));
  EXPECT_FALSE(matches("a.b", "a"));
  EXPECT_FALSE(matches("a", "a.b"));
  EXPECT_FALSE(matches("a.*", "a"));
  EXPECT_FALSE(matches("a.*", "a.b.c"));
  EXPECT_FALSE(matches("a.>", "a"));
  EXPECT_FALSE(matches("a.b", "a.c"));
  EXPECT_FALSE(matches(kAllEvents, "aether.events.n1.x"));
  EXPECT_FALSE(matches("a.b", "a.*"));  // a subject with wildcards is no subject
}

}  // namespace
}  // namespace aether::subjects
