#include "telemetry/nvml/values.h"

#include <limits>
#include <set>

#include <gtest/gtest.h>

#include "telemetry/nvml/return_code.h"

namespace aether::nvml {
namespace {

TEST(NvmlValues, BlanksAreAbsent) {
  for (std::uint32_t blank : {2147483632u, 2147483634u, 0xFFFFFFFFu}) {
    EXPECT_FALSE(real_value(blank)) << blank;
    EXPECT_FALSE(percent(blank));
    EXPECT_FALSE(watts_of_milliwatts(blank));
    EXPECT_FALSE(megahertz(blank));
    EXPECT_FALSE(celsius(blank));
  }
  for (std::uint64_t blank : {9223372036854775792ull, 9223372036854775794ull, 0xFFFFFFFFFFFFFFFFull}) {
    EXPECT_FALSE(real_value(blank)) << blank;
    EXPECT_FALSE(mebibytes_of_bytes(blank));
  }
  EXPECT_FALSE(celsius(255));
  EXPECT_FALSE(percent(101));
}

TEST(NvmlValues, ZeroIsAValue) {
  EXPECT_EQ(real_value(std::uint32_t{0}), 0u);
  EXPECT_EQ(celsius(0), 0.0);
  EXPECT_EQ(percent(0), 0.0);
  EXPECT_EQ(mebibytes_of_bytes(0), 0);
  EXPECT_EQ(watts_of_milliwatts(70123), 70.123);
}

FieldValue field(std::uint32_t type, std::uint64_t bits) {
  FieldValue out{};
  out.value_type = type;
  out.value.u64 = bits;
  return out;
}

TEST(NvmlValues, FieldIsReadByItsType) {
  EXPECT_EQ(unsigned_value(field(kU32, 0xDEADBEEF00000007ull)), 7u);
  EXPECT_EQ(unsigned_value(field(kU64, 1ull << 40)), 1ull << 40);
  EXPECT_EQ(unsigned_value(field(kUnsignedLong, 1ull << 40)), 1ull << 40);
  EXPECT_EQ(unsigned_value(field(kU16, 0xABCD0009)), 9u);
  EXPECT_EQ(unsigned_value(field(kI64, 12)), 12u);
  EXPECT_EQ(unsigned_value(field(kI32, 13)), 13u);
  FieldValue real = field(kF64, 0);
  real.value.f64 = 1234.9;
  EXPECT_EQ(unsigned_value(real), 1234u);
}

TEST(NvmlValues, FieldThatMakesNoSenseIsAbsent) {
  EXPECT_FALSE(unsigned_value(field(7, 5)));
  EXPECT_FALSE(unsigned_value(field(kI64, ~0ull)));
  EXPECT_FALSE(unsigned_value(field(kI32, 0xFFFFFFFF)));
  EXPECT_FALSE(unsigned_value(field(kU64, 9223372036854775792ull)));
  FieldValue real = field(kF64, 0);
  for (double bad : {140737488355328.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    real.value.f64 = bad;
    EXPECT_FALSE(unsigned_value(real)) << bad;
  }
  FieldValue failed = field(kU32, 7);
  failed.result = 3;
  EXPECT_FALSE(unsigned_value(failed));
}

TEST(NvmlValues, MemoryTemperatureIgnoresTheTypeTag) {
  EXPECT_EQ(memory_temperature(field(kU64, 0xDEADBEEF00000041ull)), 65.0);
  EXPECT_FALSE(memory_temperature(field(kU32, 201)));
}

TEST(NvmlReturnCodes, FollowThePolicy) {
  EXPECT_EQ(classify(0), CodeClass::kOk);
  for (Return code : {3, 13, 22, 24, 25, 26}) EXPECT_EQ(classify(code), CodeClass::kSkipMetric) << code;
  for (Return code : {4, 6, 19, 21, 27, 29}) EXPECT_EQ(classify(code), CodeClass::kSkipOnce) << code;
  for (Return code : {15, 16}) EXPECT_EQ(classify(code), CodeClass::kLost) << code;
  for (Return code : {8, 11, 14}) EXPECT_EQ(classify(code), CodeClass::kAlarm) << code;
  for (Return code : {1, 9, 12, 17, 18, 28}) EXPECT_EQ(classify(code), CodeClass::kReinitialise) << code;
  for (Return code : {2, 5, 20, 23, 30}) EXPECT_EQ(classify(code), CodeClass::kOwnBug) << code;
  EXPECT_EQ(classify(999), CodeClass::kNothingKnown);
  for (Return code : {-1, 31, 1000}) EXPECT_EQ(classify(code), CodeClass::kSkipOnce) << code;
  EXPECT_EQ(describe(15), "GPU_IS_LOST (15)");
  EXPECT_EQ(describe(77), "unnamed code (77)");
}

}  // namespace
}  // namespace aether::nvml
