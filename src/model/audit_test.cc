#include "model/audit.h"

#include <gtest/gtest.h>

#include <vector>

namespace aether {
namespace {

std::vector<AuditLine> chain_of(int count) {
  std::vector<AuditLine> lines;
  for (int i = 0; i < count; ++i)
    lines.push_back(seal(lines.empty() ? AuditLine{} : lines.back(),
                         {Time(std::chrono::milliseconds(1000 * i)), "ada", "cancel", "job-" + std::to_string(i), "x"}));
  return lines;
}

TEST(Audit, AnUntouchedChainIsWholeAlsoPageByPage) {
  const auto lines = chain_of(10);
  EXPECT_TRUE(check_audit_chain({}, lines));
  EXPECT_TRUE(check_audit_chain(lines[3], std::span(lines).subspan(4)));
  EXPECT_EQ(lines[0].seq, 1);
  EXPECT_EQ(lines[0].hash.size(), 64u);
}

TEST(Audit, EveryChangeOfALineShows) {
  const auto whole = chain_of(6);
  const std::vector<std::function<void(AuditLine&)>> changes = {
      [](AuditLine& line) { line.record.actor = "eve"; },
      [](AuditLine& line) { line.record.action = "hold"; },
      [](AuditLine& line) { line.record.target += "0"; },
      [](AuditLine& line) { line.record.detail.clear(); },
      [](AuditLine& line) { line.record.time += Duration(1); },
      [](AuditLine& line) { line.hash[5] = line.hash[5] == '0' ? '1' : '0'; },
      // The same characters, divided between two fields in another way.
      [](AuditLine& line) { line.record.actor += 'c', line.record.action.erase(0, 1); }};
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (const auto& change : changes) {
      auto lines = whole;
      change(lines[at]);
      const auto verdict = check_audit_chain({}, lines);
      ASSERT_FALSE(verdict);
      EXPECT_EQ(verdict.error().code, ErrorCode::kCorrupt);
    }
}

TEST(Audit, LinesTakenOutPutInOrExchangedShow) {
  const auto whole = chain_of(6);
  for (std::size_t at = 0; at + 1 < whole.size(); ++at) {
    auto without = whole, exchanged = whole, doubled = whole;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(at));
    std::swap(exchanged[at], exchanged[at + 1]);
    doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(at), whole[at]);
    EXPECT_FALSE(check_audit_chain({}, without)) << at;
    EXPECT_FALSE(check_audit_chain({}, exchanged)) << at;
    EXPECT_FALSE(check_audit_chain({}, doubled)) << at;
  }
}

// Somebody writes the line anew with a seal that fits: then the next one does not.
TEST(Audit, ALineThatIsSealedAnewBreaksTheNext) {
  auto lines = chain_of(4);
  AuditRecord forged = lines[1].record;
  forged.actor = "eve";
  lines[1] = seal(lines[0], forged);
  const auto verdict = check_audit_chain({}, lines);
  ASSERT_FALSE(verdict);
  EXPECT_NE(verdict.error().message.find("line 3"), std::string::npos) << verdict.error().message;
}

}  // namespace
}  // namespace aether
