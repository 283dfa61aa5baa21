#include "model/xid.h"

#include <set>

#include <gtest/gtest.h>

namespace aether {
namespace {

TEST(Xid, FaultsOfTheGpuTakeItOutOfService) {
  for (const int xid : {46, 48, 62, 64, 74, 95, 119, 120, 136, 140, 143, 155, 156, 158, 167, 168, 169})
    EXPECT_EQ(xid_info(xid).action, XidAction::kQuarantine) << xid;
  EXPECT_EQ(xid_info(79).action, XidAction::kLost);
}

TEST(Xid, FaultsOfTheJobNeverDo) {
  for (const int xid : {8, 13, 31, 32, 39, 40, 41, 43, 45, 60, 68, 69, 72, 80, 86, 98, 105, 108, 126, 135, 137, 139, 142}) {
    EXPECT_TRUE(is_application_xid(xid)) << xid;
    EXPECT_LT(xid_info(xid).action, XidAction::kWarn) << xid;
  }
  for (const int xid : {48, 79, 94, 95, 119, 109, 63}) EXPECT_FALSE(is_application_xid(xid)) << xid;
}

TEST(Xid, RecoveredErrorsStayInService) {
  EXPECT_EQ(xid_info(63).action, XidAction::kNote);
  EXPECT_EQ(xid_info(94).action, XidAction::kWarn);
  EXPECT_EQ(xid_info(92).action, XidAction::kWarn);
  EXPECT_EQ(xid_info(109).action, XidAction::kWarn);
}

TEST(Xid, NumberOutsideTheCatalogueIsAWarning) {
  for (const std::int64_t xid : {std::int64_t{0}, std::int64_t{-4}, std::int64_t{42}, std::int64_t{5000}}) {
    EXPECT_EQ(xid_info(xid).xid_class, XidClass::kUnknown) << xid;
    EXPECT_EQ(xid_info(xid).action, XidAction::kWarn) << xid;
  }
}

TEST(Xid, EveryRowIsFoundByItsNumbers) {
  std::set<std::string_view> classes;
  for (const XidInfo& row : xid_catalogue()) {
    EXPECT_EQ(&xid_info(row.first), &row);
    EXPECT_EQ(&xid_info(row.last), &row);
    classes.insert(to_string(row.xid_class));
  }
  EXPECT_EQ(classes.size(), 9u);
}

TEST(Xid, TextNamesMeaningClassAndAdvice) {
  EXPECT_EQ(xid_text(48), "Xid 48: double-bit ECC error (memory). Reset the GPU when no job is on it");
  EXPECT_EQ(xid_text(45), "Xid 45: cleanup after another error (consequence)");
}

}  // namespace
}  // namespace aether
