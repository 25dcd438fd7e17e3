#include "storage/txn_index.h"

#include <gtest/gtest.h>

namespace verdict::storage {
namespace {

AbortedTxn txn(std::int64_t producer, std::int64_t first, std::int64_t last, std::int64_t stable) {
  return {ProducerId(producer), Offset(first), Offset(last), Offset(stable)};
}

TxnIndex sample() {
  TxnIndex index;
  index.append(txn(1, 3, 20, 5));
  index.append(txn(2, 5, 24, 25));
  index.append(txn(1, 30, 35, 36));
  return index;
}

std::vector<std::int64_t> firsts(const TxnIndex& index, std::int64_t from, std::int64_t below, bool* more = nullptr) {
  std::vector<AbortedTxn> found;
  const bool goes_on = index.collect(Offset(from), Offset(below), found);
  if (more != nullptr) *more = goes_on;
  std::vector<std::int64_t> firsts;
  for (const AbortedTxn& aborted : found) firsts.push_back(aborted.first.value());
  return firsts;
}

TEST(TxnIndex, FindsWhatOverlapsARange) {
  using V = std::vector<std::int64_t>;
  const TxnIndex index = sample();
  bool more = false;
  EXPECT_EQ(firsts(index, 0, 100, &more), (V{3, 5, 30}));
  EXPECT_TRUE(more);
  EXPECT_EQ(firsts(index, 21, 30), (V{5}));
  EXPECT_EQ(firsts(index, 24, 31), (V{5, 30})) << "the marker's own offset counts";
  EXPECT_EQ(firsts(index, 25, 30), V{});
  EXPECT_EQ(firsts(index, 36, 99), V{});
  EXPECT_EQ(firsts(index, 0, 4, &more), (V{3}));
  EXPECT_FALSE(more) << "all later ones begin at or above the range's end";
  EXPECT_EQ(firsts(index, 0, 6, &more), (V{3, 5})) << "one that ended later may begin earlier";
}

TEST(TxnIndex, IsKafkasFile) {
  const TxnIndex index = sample();
  std::vector<std::byte> file;
  index.encode(0, file);
  ASSERT_EQ(file.size(), 3 * 34U);
  EXPECT_EQ(load_be<std::int16_t>(file.data() + 34), 0);
  EXPECT_EQ(load_be<std::int64_t>(file.data() + 36), 2);
  EXPECT_EQ(load_be<std::int64_t>(file.data() + 44), 5);
  EXPECT_EQ(load_be<std::int64_t>(file.data() + 52), 24);
  EXPECT_EQ(load_be<std::int64_t>(file.data() + 60), 25);
  const auto parsed = TxnIndex::parse(file, Offset(10), Offset(40));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->entries(), index.entries());
  std::vector<std::byte> rest;
  index.encode(2, rest);
  EXPECT_EQ(rest, std::vector<std::byte>(file.begin() + 68, file.end()));
}

TEST(TxnIndex, RefusesWhatCantBeOne) {
  std::vector<std::byte> file;
  sample().encode(0, file);
  EXPECT_FALSE(TxnIndex::parse(Bytes(file).first(67), Offset(0), Offset(40))) << "cut";
  EXPECT_FALSE(TxnIndex::parse(file, Offset(21), Offset(40))) << "a marker below the segment";
  EXPECT_FALSE(TxnIndex::parse(file, Offset(0), Offset(35))) << "a marker above it";
  const std::vector<std::byte> zeros(34);
  EXPECT_FALSE(TxnIndex::parse(zeros, Offset(0), Offset(40)));
  std::vector<std::byte> version = file;
  version[1] = std::byte{1};
  EXPECT_FALSE(TxnIndex::parse(version, Offset(0), Offset(40)));
  std::vector<std::byte> twice(file);
  twice.insert(twice.end(), file.begin(), file.begin() + 34);
  EXPECT_FALSE(TxnIndex::parse(twice, Offset(0), Offset(40))) << "markers go up";
}

TEST(TxnIndex, TruncatesByMarkers) {
  TxnIndex index = sample();
  index.truncate(Offset(35));
  EXPECT_EQ(index.size(), 2U);
  index.truncate(Offset(21));
  EXPECT_EQ(index.size(), 1U);
  index.truncate(Offset(20));
  EXPECT_TRUE(index.empty());
}

}  // namespace
}  // namespace verdict::storage
