#include "tests/unit/checker/cluster.h"

namespace verdict::checker {
namespace {

WhiteBoxOptions with_states() {
  WhiteBoxOptions options;
  options.abstract_states = true;
  return options;
}

struct Watched : Cluster {
  Watched() : Cluster({1, 2, 3}, 1, with_states()) {}
  std::size_t states() const { return box.abstract_states().size(); }
};

// A record that all have, as more(1, ...) does it, by whoever copies first.
void copied(Watched& c, std::vector<int> order) {
  const int at = c.ends[1];
  const unsigned crc = 500U + static_cast<unsigned>(at);
  c.append(1, 1, crc);
  for (const int id : order) {
    c.copy(id, 1, crc);
    c.fetch(1, 1, id, at + 1);
  }
  c.advance(1, 1, at, at + 1, {1, 2, 3}, {at + 1, at + 1, at + 1});
  for (const int id : order) c.advance_follower(id, 1, at, at + 1);
}

TEST(AbstractStates, AreSeenOnlyWhenAskedFor) {
  Cluster silent;
  silent.commit(3);
  EXPECT_TRUE(silent.box.abstract_states().empty());
  Watched c;
  c.commit(3);
  EXPECT_GT(c.states(), 3U);
}

TEST(AbstractStates, KnowNoOffsets) {
  Watched c;
  c.commit(2);
  const std::size_t before = c.states();
  c.more(50, {1, 2, 3});
  EXPECT_EQ(c.states(), before);
}

TEST(AbstractStates, KnowNoNames) {
  Watched c;
  c.commit(2);
  copied(c, {2, 3});
  const std::size_t before = c.states();
  copied(c, {3, 2});
  EXPECT_EQ(c.states(), before);
}

TEST(AbstractStates, KnowNoEpochs) {
  Watched c;
  c.commit(2);
  const auto reign = [&](int epoch, int leader) {
    c.decide(leader, epoch, {1, 2, 3});
    for (const int id : {1, 2, 3}) {
      if (id != leader) c.follow(id, epoch, leader);
    }
    c.lead(leader, epoch, {1, 2, 3}, c.ends[leader]);
    c.more(2, {1, 2, 3}, leader, epoch);
  };
  reign(2, 2);
  reign(3, 1);
  const std::size_t before = c.states();
  reign(4, 2);
  reign(5, 1);
  EXPECT_EQ(c.states(), before);
  ASSERT_FALSE(c.box.violation());
}

// Each of these is a state that no run of plain copying comes to.
TEST(AbstractStates, AreNewWithWhatIsNew) {
  Watched c;
  c.commit(2);
  c.more(3, {1, 2, 3});
  std::size_t before = c.states();
  const auto expect_new = [&](const char* what) {
    EXPECT_GT(c.states(), before) << what;
    before = c.states();
  };
  c.decide(1, 1, {1, 2, 3});
  expect_new("a decision that its leader has not adopted");
  c.adopt(1, 1, {1, 2, 3}, {1, 2, 3});
  c.append(1, 1, 900);
  c.append(1, 1, 901);
  before = c.states();
  c.propose(1, 1, {1, 2, 3}, {1, 2}, {1, 2, 3});
  expect_new("a proposal under way");
  c.decide(1, 1, {1, 2});
  expect_new("an ISR of two that its leader has not adopted");
  c.adopt(1, 1, {1, 2}, {1, 2});
  expect_new("the same adopted");
  c.stop(1);
  expect_new("a leader that died");
  c.decide(2, 2, {2});
  expect_new("elected, and nobody has heard");
  c.follow(3, 1, 1);
  c.lead(2, 2, {2}, c.ends[2] - 1);
  expect_new("a follower of the epoch before");
}

// Broker 2 leads, 3 is behind it and not in the ISR, with a record of epoch 1 that 2 never had or without.
std::uint64_t behind(bool parted) {
  Watched c;
  c.commit(2);
  c.append(1, 1, 900);
  if (parted) c.copy(3, 1, 900);
  c.stop(1);
  c.decide(2, 2, {2});
  c.follow(3, 2, 2);
  c.lead(2, 2, {2}, 2);
  for (unsigned crc = 700; crc < 704; ++crc) c.append(2, 2, crc);
  EXPECT_FALSE(c.box.violation());
  return c.box.abstract_states().back();
}

TEST(AbstractStates, KnowALogThatPartsFromTheLeaders) { EXPECT_NE(behind(true), behind(false)); }

}  // namespace
}  // namespace verdict::checker
