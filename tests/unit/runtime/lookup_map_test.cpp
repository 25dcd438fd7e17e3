#include "runtime/lookup_map.h"

#include <gtest/gtest.h>

#include <string>

namespace verdict {
namespace {

TEST(LookupMap, KeepsPointersUntilTheirEntryGoes) {
  LookupMap<std::string, int> map;
  const auto first = map.try_emplace("first", 1);
  ASSERT_TRUE(first.fresh);
  for (int i = 0; i < 1000; ++i) map.try_emplace(std::to_string(i), i);
  EXPECT_EQ(map.find("first"), first.value);
  EXPECT_EQ(*first.key, "first");
  EXPECT_EQ(*map.find("999"), 999);
  EXPECT_EQ(map.size(), 1001U);

  const auto again = map.try_emplace("first", 2);
  EXPECT_FALSE(again.fresh);
  EXPECT_EQ(*again.value, 1);

  EXPECT_TRUE(map.erase("first"));
  EXPECT_FALSE(map.erase("first"));
  EXPECT_EQ(map.find("first"), nullptr);
  map.clear();
  EXPECT_TRUE(map.empty());
}

}  // namespace
}  // namespace verdict
