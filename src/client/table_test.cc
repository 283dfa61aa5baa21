#include "client/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "client/format.h"
#include "client/json_view.h"
#include "client/terminal.h"
#include "client/top_frame.h"

namespace aether::client {
namespace {

Table sample_table() {
  Table table({{"JOB", Align::kRight}, {"NAME"}, {"REASON"}});
  table.add_row({"7", "train", "waits for 2 GPUs on one node"});
  table.add_row({"4131", "réseau", ""});
  return table;
}

TEST(Table, ProgramsGetWholeCellsBetweenBars) {
  Table table({{"JOB", Align::kRight}, {"NAME"}});
  table.add_row({"7", "a|b"});
  table.add_row({"12", ""});
  EXPECT_EQ(table.render({.width = 3, .headers = true, .colours = false, .parsable = true}), "JOB|NAME\n7|a/b\n12|\n");
}

TEST(Table, AlignsColumnsAndLeavesNoTrailingSpaces) {
  EXPECT_EQ(sample_table().render({}),
            " JOB  NAME    REASON\n"
            "   7  train   waits for 2 GPUs on one node\n"
            "4131  réseau\n");
}

TEST(Table, CutsTheRightColumnToFit) {
  EXPECT_EQ(sample_table().render({.width = 26, .headers = false}),
            "   7  train   waits for 2…\n"
            "4131  réseau\n");
}

TEST(Table, EveryLineFitsAnyWidth) {
  for (std::size_t width = 1; width < 60; ++width) {
    std::istringstream lines(sample_table().render({.width = width}));
    for (std::string line; std::getline(lines, line);)
      EXPECT_LE(display_width(line), width) << "'" << line << "' at " << width;
  }
}

TEST(Table, ColoursDoNotChangeTheLayout) {
  Table table({{"STATE"}, {"N", Align::kRight}});
  table.add_row({Cell("up", Colour::kGreen), "1"});
  EXPECT_EQ(table.render({.width = 0, .headers = false, .colours = true}), "\x1b[32mup\x1b[0m  1\n");
}

TEST(Table, ShowsControlCharactersInsteadOfSendingThem) {
  Table table({{"NAME"}});
  table.add_row({"a\x1b[2Jb\nc"});
  EXPECT_EQ(table.render({.width = 0, .headers = false}), "a\\x1b[2Jb\\x0ac\n");
}

TEST(FitColumns, TakesFromTheRightFirst) {
  EXPECT_EQ(fit_columns({4, 10, 30}, 40), (std::vector<std::size_t>{4, 10, 22}));
  EXPECT_EQ(fit_columns({4, 10, 30}, 20), (std::vector<std::size_t>{4, 6, 6}));
  EXPECT_EQ(fit_columns({4, 10, 30}, 12), (std::vector<std::size_t>{4, 6, 0}));
  EXPECT_EQ(fit_columns({4, 10, 30}, 3), (std::vector<std::size_t>{3, 0, 0}));
}

TEST(Visible, EscapesEverythingThatMovesOrReordersText) {
  EXPECT_EQ(visible("plain ü 漢 ✓"), "plain ü 漢 ✓");
  EXPECT_EQ(visible("\x7f"), "\\x7f");
  EXPECT_EQ(visible("\xc2\x9b"
                    "2J"),
            "\\x9b2J");                                                     // C1 CSI
  EXPECT_EQ(visible("\xe2\x80\xae"), "\\u202e");                            // right-to-left override
  EXPECT_EQ(visible("\xff\xc3"), "\\xff\\xc3");                             // not UTF-8
  EXPECT_EQ(visible("\xc0\x80\xed\xa0\x80"), "\\xc0\\x80\\xed\\xa0\\x80");  // overlong, surrogate
}

TEST(Truncated, CountsCharactersNotBytes) {
  EXPECT_EQ(truncated("ünïcödé", 7), "ünïcödé");
  EXPECT_EQ(truncated("ünïcödé", 4), "ünï…");
  EXPECT_EQ(truncated("abc", 1), "…");
  EXPECT_EQ(truncated("abc", 0), "");
}

TEST(OutputFilter, LetsColoursPassAndShowsOtherSequences) {
  const std::string text = "\x1b[31mred\x1b[0m\tok\r\n\x1b[2J\x1b]0;title\x07 end\x1b";
  const std::string expected = "\x1b[31mred\x1b[0m\tok\r\n\\x1b[2J\\x1b]0;title\\x07 end\\x1b";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    OutputFilter filter;
    std::string out = filter.pass(text.substr(0, cut));
    out += filter.pass(text.substr(cut));
    EXPECT_EQ(out + filter.finish(), expected) << "cut at " << cut;
  }
}

TEST(Format, AnAbsentValueIsADash) {
  const Json empty = Json::object();
  EXPECT_EQ(quantity_text(number_of(empty, "power_draw_w"), "W"), "-");
  EXPECT_EQ(time_text(empty, "started_at", Zone::kUtc), "-");
  EXPECT_EQ(memory_text(empty, "memory_total_mb"), "-");
  EXPECT_EQ(energy_text(std::nullopt), "-");
  EXPECT_EQ(energy_text(1.8e6), "0.50 kWh");
  EXPECT_EQ(carbon_text(1234.0), "1.23 kg");
  EXPECT_EQ(time_text(Json{{"t", "2026-01-15T09:42:17.250Z"}}, "t", Zone::kUtc), "2026-01-15 09:42:17Z");
}

TEST(JsonView, ReadsWhatIsThereAndNothingElse) {
  const Json json = parse_json(R"({"n":1.5,"s":"x","null":null,"b":true,"a":[1,"two"]})");
  EXPECT_EQ(number_of(json, "n"), 1.5);
  EXPECT_EQ(number_of(json, "s"), std::nullopt);
  EXPECT_EQ(number_of(json, "null"), std::nullopt);
  EXPECT_EQ(integer_of(json, "n"), 2);
  EXPECT_EQ(text_of(json, "missing"), "");
  EXPECT_EQ(text_of(member(json, "s"), "deeper"), "");
  EXPECT_EQ(joined(items_of(json, "a"), "-"), "1-two");
  EXPECT_TRUE(items_of(json, "s").empty());
  EXPECT_TRUE(parse_json("{\"half\":").is_discarded());
}

TEST(Bar, FillsByEighthsAndKeepsItsWidth) {
  EXPECT_EQ(bar(0.0, 4), "    ");
  EXPECT_EQ(bar(1.0, 4), "████");
  EXPECT_EQ(bar(2.0, 4), "████");
  EXPECT_EQ(bar(0.5, 4), "██  ");
  EXPECT_EQ(bar(0.53125, 4), "██▏ ");
  EXPECT_EQ(bar(std::nullopt, 4), "····");
}

class TopFrame : public testing::Test {
 protected:
  std::string frame(TopView view) const {
    return top_frame({.fleet = fleet, .gpus = gpus, .jobs = jobs, .nodes = nodes}, view);
  }
  Json fleet = {
      {"gpus_total", 2}, {"gpus_allocated", 1}, {"gpus_free", 1}, {"gpus_out", 0}, {"simulated", true}};
  Json gpus = {
      {"items",
       {{{"gpu_id", "n1-0"},
         {"state", "busy"},
         {"memory_total_mb", 1000},
         {"jobs", Json::array()},
         {"sample",
          {{"utilization_gpu", 90}, {"temperature_c", 50}, {"memory_used_mb", 100}, {"power_draw_w", 300}}}},
        {{"gpu_id", "n1-1"},
         {"state", "free"},
         {"memory_total_mb", 1000},
         {"jobs", Json::array()},
         {"sample",
          {{"utilization_gpu", 10}, {"temperature_c", 70}, {"memory_used_mb", 900}, {"power_draw_w", 400}}}},
        {{"gpu_id", "n1-2"}, {"state", "no_data"}, {"sample", nullptr}}}}};
  Json jobs = {{"items", Json::array({{{"number", 7},
                                       {"name", "train\x1b[2J"},
                                       {"state", "PENDING"},
                                       {"reason", {{"summary", "waits"}}}}})}};
  Json nodes = {{"items", Json::array({{{"node", "n1"}, {"state", "up"}, {"temperature_max_c", 70}}})}};
};

TEST_F(TopFrame, SortsByTheChosenKey) {
  for (const auto& [key, first, second] : {std::tuple{'u', "n1-0", "n1-1"},
                                           {'t', "n1-1", "n1-0"},
                                           {'m', "n1-1", "n1-0"},
                                           {'p', "n1-1", "n1-0"}}) {
    const std::string text = frame({.width = 120, .height = 0, .sort = key});
    EXPECT_LT(text.find(first), text.find(second)) << key;
    EXPECT_LT(text.find(second), text.find("n1-2")) << key << ": a GPU without data comes last";
  }
}

TEST_F(TopFrame, FitsTheScreenAndEscapesNames) {
  for (const std::size_t width : {20, 60, 100}) {
    const std::string text = frame({.width = width, .height = 6});
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6);
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(display_width(line), width);
  }
  const std::string text = frame({.width = 120, .height = 0});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_THAT(text, testing::HasSubstr("train\\x1b[2J"));
  EXPECT_THAT(text, testing::HasSubstr("simulated"));
}

}  // namespace
}  // namespace aether::client
