#include "reports/curve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verdict::reports {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Curve curve_example() {
  return {
      .failure = "C1<",
      .failed_at_ms = 2500,
      .points = {{.at_ms = 1000, .runs = 20, .failed = 1, .otherwise = 2}, {.at_ms = 2400, .runs = 20, .failed = 20}}};
}

TEST(Curve, BoundsHoldTheShareAndStayWithinCertainty) {
  const Share none = share_of(0, 20), some = share_of(5, 20), all = share_of(20, 20);
  EXPECT_EQ(none.value, 0);
  EXPECT_EQ(none.low, 0);
  EXPECT_EQ(none.high, 161);
  EXPECT_EQ(some.value, 250);
  EXPECT_EQ(some.low, 112);
  EXPECT_EQ(some.high, 469);
  EXPECT_EQ(all.high, 1000);
  EXPECT_EQ(all.low, 839);
  EXPECT_EQ(share_of(0, 0).high, 1000);
}

TEST(Curve, ReadsBackWhatItWrote) {
  const auto back = parse_curve(to_json(curve_example()));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->points.size(), 2U);
  EXPECT_EQ(back->points[0].otherwise, 2);
  EXPECT_EQ(to_json(*back), to_json(curve_example()));
  EXPECT_FALSE(parse_curve("{}"));
  EXPECT_FALSE(parse_curve("nonsense"));
}

TEST(Curve, TextAndSection) {
  EXPECT_THAT(curve_text(curve_example()),
              HasSubstr("1.000 s    1 of 20 branches fail, 5% (95%: 1% to 24%); 2 of something"));
  const std::string section = curve_section(curve_example());
  EXPECT_THAT(section, HasSubstr("fail of C1&lt; when"));
  EXPECT_THAT(section, HasSubstr("<td class=\"num\">2.400 s</td><td class=\"num\">20</td><td class=\"num\">20</td>"));
  EXPECT_THAT(section, Not(HasSubstr("C1<")));
  EXPECT_EQ(curve_section({}), "");
}

}  // namespace
}  // namespace verdict::reports
