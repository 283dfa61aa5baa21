#include "base/shared_map.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/rng.h"

namespace aether {
namespace {

using Map = SharedMap<std::string, int>;

void expect_same(const Map& map, const std::map<std::string, int>& reference) {
  ASSERT_EQ(map.size(), reference.size());
  EXPECT_TRUE(std::equal(map.begin(), map.end(), reference.begin(),
                         [](const auto& a, const auto& b) { return a.first == b.first && a.second == b.second; }));
  EXPECT_TRUE(std::equal(map.rbegin(), map.rend(), reference.rbegin(),
                         [](const auto& a, const auto& b) { return a.first == b.first && a.second == b.second; }));
}

TEST(SharedMap, AnEmptyMapHoldsNothing) {
  const Map map;
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(map.begin(), map.end());
  EXPECT_FALSE(map.contains("a"));
  EXPECT_THROW(map.at("a"), std::out_of_range);
}

TEST(SharedMap, BehavesLikeAMapUnderRandomChangesAndItsCopiesStayAsTheyWere) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Rng rng(seed);
    Map map;
    std::map<std::string, int> reference;
    std::vector<std::pair<Map, std::map<std::string, int>>> copies;
    for (int i = 0; i < 6000; ++i) {
      const std::string key = std::to_string(rng.below(3000));
      if (rng.chance(i < 4000 ? 0.2 : 0.8)) {
        EXPECT_EQ(map.erase(key), reference.erase(key));
      } else {
        map[key] = i, reference[key] = i;
      }
      EXPECT_EQ(map.contains(key), reference.contains(key));
      if (i % 1000 == 500) copies.emplace_back(map, reference);
    }
    expect_same(map, reference);
    for (const auto& [copy, then] : copies) expect_same(copy, then);
  }
}

TEST(SharedMap, GrowingKeysAndBecomingEmptyAgain) {
  Map map;
  for (int i = 10000; i < 12000; ++i) map[std::to_string(i)] = i;
  EXPECT_EQ(map.begin()->second, 10000);
  EXPECT_EQ(map.rbegin()->second, 11999);
  for (int i = 10000; i < 12000; ++i) EXPECT_EQ(map.erase(std::to_string(i)), 1u);
  EXPECT_EQ(map.begin(), map.end());
  map["x"] = 1;
  EXPECT_EQ(map.at("x"), 1);
}

TEST(SharedMap, AWalkOverTheChangesMeetsEveryDifferenceAndLittleElse) {
  Map map;
  for (int i = 10000; i < 20000; ++i) map[std::to_string(i)] = i;
  const Map before = map;
  map["10007"] = -1;
  map["21000"] = 21000;
  map.erase("15000");
  std::map<std::string, std::pair<int, int>> differences;
  std::size_t met = 0;
  map.visit_changes(before, [&](const std::string& key, int value, const int* old) {
    ++met;
    if (old == nullptr || *old != value) differences[key] = {old == nullptr ? 0 : *old, value};
  });
  const std::map<std::string, std::pair<int, int>> expected = {{"10007", {10007, -1}}, {"21000", {0, 21000}}};
  EXPECT_EQ(differences, expected);
  EXPECT_LT(met, 1000u);
  map.visit_changes(map, [](const std::string&, int, const int*) { ADD_FAILURE() << "a map differs from itself"; });
}

TEST(SharedMap, ChangingEveryEntryLeavesCopiesAsTheyWere) {
  Map map;
  for (int i = 0; i < 1000; ++i) map[std::to_string(i)] = i;
  const Map before = map;
  map.change_all([](const std::string&, int& value) { value = -value; });
  EXPECT_EQ(map.at("999"), -999);
  EXPECT_EQ(before.at("999"), 999);
  EXPECT_EQ(map.size(), 1000u);
}

// For the thread sanitizer: the owner goes on while others read and copy what they were given.
TEST(SharedMap, CopiesAreReadInOtherThreadsWhileTheOwnerChangesItsOwn) {
  Map map;
  for (int i = 0; i < 2000; ++i) map[std::to_string(i)] = 1;
  std::vector<std::thread> readers;
  std::array<std::int64_t, 4> sums{};
  for (std::size_t reader = 0; reader < sums.size(); ++reader) {
    readers.emplace_back([given = Map(map), sum = &sums[reader]] {
      const Map own = given;
      for (const auto& [key, value] : own) *sum += value;
    });
    for (int i = 0; i < 2000; ++i) map[std::to_string(i)] += 1;
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(sums, (std::array<std::int64_t, 4>{2000, 4000, 6000, 8000}));
}

}  // namespace
}  // namespace aether
