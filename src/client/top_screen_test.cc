#include "client/top_screen.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "client/terminal.h"

namespace aether::client {
namespace {

using testing::HasSubstr;
using testing::Not;

class TopScreenTest : public testing::Test {
 protected:
  TopScreenTest() { look(50); }

  // Two nodes of `gpus` GPUs each; GPU i of a node is i % busy and has job i + 1 on it while there is one.
  void look(double utilisation, int gpus = 3) {
    Json listed = Json::array(), jobs = Json::array(), nodes = Json::array();
    for (const char* node : {"n1", "n2"}) {
      nodes.push_back({{"node", node}, {"state", "up"}, {"temperature_max_c", 61}});
      for (int i = 0; i < gpus; ++i) {
        Json gpu = {{"gpu_id", fmt::format("{}-{}", node, i)}, {"node", node}, {"gpu_index", i}, {"state", "free"},
                    {"memory_total_mb", 1000}, {"jobs", Json::array()},
                    {"sample", {{"utilization_gpu", utilisation + i}, {"temperature_c", 90 - i}, {"memory_used_mb", 10 * i}, {"power_draw_w", 100}}}};
        if (std::string(node) == "n1" && i == 0) gpu["jobs"].push_back({{"job_id", "J1"}, {"number", 1}, {"name", "train"}});
        if (std::string(node) == "n2" && i == 1) gpu["sample"]["processes"] = Json::array({{{"pid", 4242}, {"memory_used_mb", 8000}}});
        listed.push_back(gpu);
      }
    }
    for (int i = 1; i <= 20; ++i)
      jobs.push_back({{"job_id", fmt::format("J{}", i)}, {"number", i}, {"name", i == 1 ? "train" : fmt::format("eval{}", i)}, {"user", "ada"},
                      {"state", i == 1 ? "RUNNING" : "PENDING"}, {"gpu_ids", i == 1 ? Json::array({"n1-0"}) : Json::array()},
                      {"reason", {{"summary", "waits for a GPU"}}}});
    screen_.update({{"gpus_total", 2 * gpus}, {"jobs_running", 1}}, {{"items", listed}}, {{"items", jobs}}, {{"items", nodes}});
  }
  std::string shown(std::size_t width = 140, std::size_t height = 40, bool colours = false) { return screen_.render(width, height, colours, Time{}); }
  void type(std::string_view keys) {
    while (!keys.empty()) {
      const auto [press, size] = parse_key(keys);
      screen_.press(press);
      keys.remove_prefix(size);
      shown();
    }
  }
  static std::vector<std::string> lines(const std::string& text) {
    std::vector<std::string> out;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  }
  std::string marked() {
    for (const std::string& line : lines(shown()))
      if (line.starts_with("> ")) return line;
    return "";
  }

  TopScreen screen_{'u'};
};

TEST_F(TopScreenTest, FitsEveryWindow) {
  for (const std::size_t width : {10, 40, 80, 100, 200})
    for (const std::size_t height : {3, 6, 10, 24, 60}) {
      const auto drawn = lines(shown(width, height));
      EXPECT_LE(drawn.size(), height) << width << "x" << height;
      for (const std::string& line : drawn) EXPECT_LE(display_width(line), width) << line;
    }
  EXPECT_EQ(shown(5, 2), "");
}

TEST_F(TopScreenTest, NodesHaveTheirGpusUnderThem) {
  const std::string text = shown();
  EXPECT_LT(text.find("n1 up 61 °C"), text.find("n1-2"));
  EXPECT_LT(text.find("n1-2"), text.find("n2 up"));
  EXPECT_LT(text.find("n1-2"), text.find("n1-0")) << "the busiest first";
  type("g");
  EXPECT_LT(shown().find("n2-2"), shown().find("n1-1")) << "one list of all";
  type("n");
  EXPECT_LT(shown().find("n1-0"), shown().find("n1-1"));
}

TEST_F(TopScreenTest, TheLastMinuteIsALine) {
  for (const double load : {0.0, 50.0, 97.0}) look(load);
  EXPECT_THAT(shown(), HasSubstr("▅▁▅█"));
}

TEST_F(TopScreenTest, AFilterLeavesWhatHoldsTheText) {
  type("/EVAL1");
  EXPECT_THAT(shown(), HasSubstr("show only: EVAL1_"));
  EXPECT_THAT(shown(), HasSubstr("eval12"));
  EXPECT_THAT(shown(), Not(HasSubstr("eval2")));
  EXPECT_THAT(shown(), Not(HasSubstr("n1-1")));
  type("\x7f\r");
  EXPECT_THAT(shown(), HasSubstr("only \"EVAL\""));
  EXPECT_THAT(shown(), HasSubstr("eval2"));
  type("\x1b");
  EXPECT_THAT(shown(), HasSubstr("n1-1"));
}

TEST_F(TopScreenTest, TheMarkMovesScrollsAndStaysInside) {
  EXPECT_THAT(marked(), HasSubstr("train"));
  type("jj");
  EXPECT_THAT(marked(), HasSubstr("eval3"));
  for (int i = 0; i < 40; ++i) type("\x1b[B");
  EXPECT_THAT(shown(100, 20), HasSubstr("> "));
  EXPECT_THAT(marked(), HasSubstr("eval20"));
  type("\x1b[5~");
  EXPECT_THAT(marked(), Not(HasSubstr("eval20")));
  for (int i = 0; i < 40; ++i) type("k");
  EXPECT_THAT(marked(), HasSubstr("train"));
  type("\t");
  EXPECT_THAT(marked(), HasSubstr("n1-2"));
}

TEST_F(TopScreenTest, EnterOpensTheLogOfTheMarkedJobOrOfTheOneOnTheMarkedGpu) {
  EXPECT_THAT(marked(), HasSubstr("train"));
  type("\r");
  ASSERT_TRUE(screen_.log());
  EXPECT_EQ(*screen_.log(), (TopScreen::LogWanted{"J1", "stdout"}));
  screen_.set_log_text("first\nsecond\x1b[31m red\x1b[0m\n10%\r20%\r90%\nevil\x1b]0;x\n");
  const std::string text = shown(60, 10);
  EXPECT_THAT(text, HasSubstr("job 1 train · stdout"));
  EXPECT_THAT(text, HasSubstr("second red\n90%\n"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  type("e");
  EXPECT_EQ(screen_.log()->stream, "stderr");
  type("q");
  EXPECT_FALSE(screen_.log());
  type("\tjjl");
  ASSERT_TRUE(screen_.log()) << shown();
  EXPECT_EQ(screen_.log()->job, "J1");
  type("\x1bjl");
  EXPECT_FALSE(screen_.log());
  EXPECT_THAT(shown(), HasSubstr("no job is there"));
}

TEST_F(TopScreenTest, HelpCoversTheRestUntilAKeyComes) {
  type("?");
  EXPECT_THAT(shown(), HasSubstr("keys of aether top"));
  type("x");
  EXPECT_THAT(shown(), HasSubstr("train"));
  EXPECT_EQ(screen_.press({Key::kCharacter, 'q'}), TopScreen::Action::kQuit);
}

TEST_F(TopScreenTest, ProcessesWithoutAJobAreForeign) {
  EXPECT_THAT(shown(), HasSubstr("foreign: 4242"));
}

TEST_F(TopScreenTest, WithoutColoursNothingButTextIsDrawn) {
  EXPECT_THAT(shown(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(shown(140, 40, true), HasSubstr("\x1b[7m> "));
}

TEST(ParseKey, TakesWholeSequences) {
  EXPECT_EQ(parse_key("\x1b[A").first.key, Key::kUp);
  EXPECT_EQ(parse_key("\x1b[1;5Cq").second, 6u) << "an unknown sequence";
  EXPECT_EQ(parse_key("\x1b").first.key, Key::kEscape);
  EXPECT_EQ(parse_key("\x1bq").second, 1u);
  EXPECT_EQ(parse_key("\xc3\xa4").first.key, Key::kNone);
  EXPECT_EQ(parse_key("").second, 0u);
}

}  // namespace
}  // namespace aether::client
