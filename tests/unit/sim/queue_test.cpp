// The event queue against a sorted list: near and far times, moved and taken out again, always come in their order.
#include "sim/queue.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <utility>

#include "runtime/random.h"

namespace verdict::sim {
namespace {

TEST(EventQueue, OrderIsThatOfTimeAndNumber) {
  constexpr std::uint64_t kEvents = 200;
  std::array<Event, kEvents> events;
  std::map<std::pair<std::int64_t, std::uint64_t>, std::size_t> expected;
  std::array<std::pair<std::int64_t, std::uint64_t>, kEvents> keys;
  EventQueue queue;
  KeyedRandom random(7);
  std::int64_t now = 0;
  std::uint64_t order = 0;
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t which = random.below(kEvents);
    Event& event = events[which];
    // It fills and is drained in turn, so that what was far comes near while others are put in.
    const std::uint64_t what = random.below(step / 500 % 2 == 0 ? 4 : 16);
    if ((what == 0 || what > 3) && !expected.empty()) {
      ASSERT_EQ(queue.first().at_ns, expected.begin()->first.first);
      const EventQueue::Entry entry = queue.pop();
      EXPECT_EQ(&entry.target.event(), &events[expected.begin()->second]);
      now = entry.at_ns;
      expected.erase(expected.begin());
    } else if (what == 1) {
      if (event.queued()) expected.erase(keys[which]);
      queue.remove(event);
    } else {
      // From the same instant to a minute away.
      const auto delay = static_cast<std::int64_t>(random.below(std::uint64_t{1} << random.below(36)));
      if (event.queued()) expected.erase(keys[which]);
      keys[which] = {now + delay, random.below(4) << 32 | order++};
      expected.emplace(keys[which], which);
      queue.put({keys[which].first, keys[which].second, EventQueue::Target(event)});
    }
    ASSERT_EQ(queue.size(), expected.size());
    ASSERT_EQ(queue.empty(), expected.empty());
  }
  for (Event& event : events) queue.remove(event);
}

}  // namespace
}  // namespace verdict::sim
