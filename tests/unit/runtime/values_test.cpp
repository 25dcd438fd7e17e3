#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <bit>
#include <set>
#include <string>

#include "runtime/names.h"
#include "runtime/op.h"
#include "runtime/random.h"
#include "runtime/strong.h"
#include "runtime/time.h"
#include "runtime/uuid.h"

namespace verdict {
namespace {

TEST(Uuid, TextIsKafkas) {
  // Kafka's Uuid.ZERO_UUID, ONE_UUID and METADATA_TOPIC_ID.
  EXPECT_EQ((Uuid{0, 0}).to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
  EXPECT_EQ((Uuid{0, 1}).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
  EXPECT_EQ((Uuid{~0ULL, ~0ULL}).to_string(), "_____________________w");
  // base64url of the bytes 00 01 02 ... 0f
  EXPECT_EQ((Uuid{0x0001020304050607, 0x08090a0b0c0d0e0f}).to_string(), "AAECAwQFBgcICQoLDA0ODw");
}

TEST(Uuid, RejectsWhatIsNoUuid) {
  for (const char* text :
       {"", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAA+AAAAAAAAAAA",
        "AAAAAAAAAA/AAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB", " AAAAAAAAAAAAAAAAAAAAA"}) {
    EXPECT_FALSE(Uuid::parse(text).has_value()) << text;
  }
}

RC_GTEST_PROP(UuidProperty, TextRoundTrips, (std::uint64_t high, std::uint64_t low)) {
  const Uuid id{high, low};
  const auto parsed = Uuid::parse(id.to_string());
  RC_ASSERT(parsed.has_value());
  RC_ASSERT(*parsed == id);
  RC_ASSERT(id.is_zero() == (high == 0 && low == 0));
}

TEST(KeyedRandom, IsAFunctionOfKeyAndOrdinal) {
  KeyedRandom a(7);
  KeyedRandom b(7);
  KeyedRandom other(8);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t draw = a.next();
    EXPECT_EQ(draw, b.next());
    EXPECT_EQ(draw, mix64(7, static_cast<std::uint64_t>(i)));
    seen.insert(draw);
    seen.insert(other.next());
  }
  EXPECT_EQ(seen.size(), 2000u);
}

TEST(KeyedRandom, HasNoChangingConstants) {
  // Seeds in bundles and scenario files stay valid only as long as these do.
  EXPECT_EQ(mix64(0), 0xe220a8397b1dcdafU);
  EXPECT_EQ(mix64(1), 0x910a2dec89025cc1U);
}

TEST(KeyedRandom, FlipsHalfOfTheBitsForOneBitOfKeyOrOrdinal) {
  std::uint64_t flipped = 0;
  std::uint64_t pairs = 0;
  for (std::uint64_t value = 0; value < 64; ++value) {
    for (unsigned bit = 0; bit < 64; ++bit) {
      flipped += static_cast<std::uint64_t>(std::popcount(mix64(value, 3) ^ mix64(value ^ 1ULL << bit, 3)));
      flipped += static_cast<std::uint64_t>(std::popcount(mix64(3, value) ^ mix64(3, value ^ 1ULL << bit)));
      pairs += 2;
    }
  }
  EXPECT_GT(flipped, pairs * 31);
  EXPECT_LT(flipped, pairs * 33);
}

TEST(KeyedRandom, BelowIsInRangeAndEven) {
  KeyedRandom random(99);
  std::array<int, 10> counts{};
  for (int i = 0; i < 100'000; ++i) ++counts[random.below(10)];
  for (const int count : counts) {
    EXPECT_GT(count, 9'500);
    EXPECT_LT(count, 10'500);
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random.below(1), 0u);
  EXPECT_LT(scale_to(~0ULL, 3), 3u);
  EXPECT_EQ(scale_to(0, 3), 0u);
  int hits = 0;
  for (int i = 0; i < 40'000; ++i) hits += random.one_in(4) ? 1 : 0;
  EXPECT_GT(hits, 9'500);
  EXPECT_LT(hits, 10'500);
}

TEST(Names, AreUniqueAndFound) {
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < kDefectCount; ++i) {
    const auto defect = static_cast<Defect>(i);
    EXPECT_TRUE(seen.insert(name_of(defect)).second);
    EXPECT_EQ(find_defect(name_of(defect)), defect);
    EXPECT_TRUE(find_mark("defect-" + std::string(name_of(defect))).has_value()) << name_of(defect);
  }
  for (std::size_t i = 0; i < kMarkCount; ++i) {
    const auto mark = static_cast<Mark>(i);
    EXPECT_TRUE(seen.insert(name_of(mark)).second);
    EXPECT_EQ(find_mark(name_of(mark)), mark);
  }
  EXPECT_FALSE(find_defect("no-such-defect").has_value());
  EXPECT_FALSE(find_mark("").has_value());
}

TEST(Names, ADefectSetHoldsWhatWasAdded) {
  DefectSet set;
  EXPECT_TRUE(set.empty());
  set.add(Defect::Kip101);
  for (std::size_t i = 0; i < kDefectCount; ++i) {
    const auto defect = static_cast<Defect>(i);
    EXPECT_EQ(set.has(defect), defect == Defect::Kip101);
  }
  EXPECT_FALSE(set.empty());
}

TEST(Strong, ComparesAndMoves) {
  using Width = Strong<struct WidthTag, int>;
  using Place = Position<struct PlaceTag, std::int64_t>;
  EXPECT_LT(Width(1), Width(2));
  EXPECT_EQ(Width(), Width(0));
  EXPECT_EQ(Place(5) + 3, Place(8));
  EXPECT_EQ(Place(5) - Place(8), -3);
  EXPECT_EQ(Place(5) - 5, Place());
  Place place(1);
  EXPECT_EQ(++place, Place(2));
  static_assert(!std::is_convertible_v<int, Width> && !std::is_convertible_v<Width, int>);
}

TEST(Time, ConvertsToMilliseconds) {
  EXPECT_EQ(to_ms(Duration(1'999'999)), 1);
  EXPECT_EQ(from_ms(3), 3ms);
  EXPECT_EQ(to_ms(WallTime(1234ms)), 1234);
}

using OpDeathTest = ::testing::Test;

TEST_F(OpDeathTest, AnOperationInFlightMustNotDie) {
  EXPECT_DEATH(
      {
        Op op;
        op.owner = &op;
      },
      "an operation died in flight");
}

TEST_F(OpDeathTest, AssertionsNameTheirPlaceAndNote) {
  EXPECT_DEATH(VERDICT_ASSERT(1 + 1 == 3, "arithmetic"), "values_test.cpp.*1 \\+ 1 == 3.*arithmetic");
}

}  // namespace
}  // namespace verdict
