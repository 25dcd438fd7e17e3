#include "tests/unit/checker/history_lines.h"

namespace verdict::checker {
namespace {

// Of orders-0.
struct History : HistoryLines {
  HistoryEntry entry(std::int64_t process, HistoryType type, HistoryCall call) {
    HistoryEntry e;
    e.op = ops, e.process = process, e.type = type, e.call = call, e.topic = "orders", e.time_ns = ops;
    return e;
  }
  std::int64_t begin(std::int64_t value, bool exact = false, int acks = -1, std::int64_t process = 1) {
    ++ops;
    HistoryEntry e = entry(process, HistoryType::invoke, HistoryCall::send);
    e.value = value, e.idempotent = exact, e.acks = static_cast<std::int16_t>(acks);
    line(e);
    return ops;
  }
  void end(std::int64_t op, std::int64_t value, HistoryType type, std::int64_t offset = -1, int acks = -1) {
    HistoryEntry e = entry(1, type, HistoryCall::send);
    e.op = op, e.value = value, e.offset = offset, e.acks = static_cast<std::int16_t>(acks);
    line(e);
  }
  void send(std::int64_t value, std::int64_t offset, bool exact = false, int acks = -1) {
    end(begin(value, exact, acks), value, HistoryType::ok, offset, acks);
  }
  void poll(std::int64_t process, std::vector<OffsetValue> records) {
    ++ops;
    HistoryEntry e = entry(process, HistoryType::ok, HistoryCall::poll);
    e.records = std::move(records);
    line(e);
  }
  void assign(std::int64_t process, std::int64_t offset, HistoryCall call = HistoryCall::assign) {
    ++ops;
    HistoryEntry e = entry(process, HistoryType::ok, call);
    e.offset = offset;
    line(e);
  }
  std::string names() const {
    std::string out;
    for (const Anomaly& a : check().anomalies) out += (out.empty() ? "" : " ") + std::string(a.name);
    return out;
  }
};

TEST(BlackBox, HealthyWithAmbiguity) {
  History h;
  h.send(100, 0), h.send(101, 1);
  const auto op = h.begin(102);
  h.end(op, 102, HistoryType::info);
  h.end(h.begin(103), 103, HistoryType::info);
  h.end(h.begin(104), 104, HistoryType::fail);
  h.begin(105);
  h.assign(9, 0);
  h.poll(9, {{0, 100}, {1, 101}, {2, 102}});
  h.send(106, 3);
  const HistoryResult r = h.check();
  EXPECT_TRUE(r.valid()) << r.to_json();
  EXPECT_EQ(r.sends_unknown, 3u);
  EXPECT_EQ(r.unknown_read, 1u);
  EXPECT_EQ(r.unknown_unread, 2u);
  EXPECT_EQ(r.sends_failed, 1u);
  EXPECT_EQ(r.unseen, 1u);
}
TEST(BlackBox, LostWrite) {
  for (const int acks : {-1, 1}) {
    History h;
    h.send(100, 0), h.send(101, 1, false, acks), h.send(102, 2);
    h.assign(9, 0);
    h.poll(9, {{0, 100}});
    h.poll(9, {{2, 102}});
    EXPECT_EQ(h.names(), acks == -1 ? "lost-write" : "");
    if (acks == -1) EXPECT_EQ(h.check().anomalies[0].operations, (std::vector<std::int64_t>{2, 6}));  // the second poll
  }
}
TEST(BlackBox, LostFirstWrite) {
  History h;
  h.send(100, 0), h.send(101, 1);
  h.assign(9, 0);
  h.poll(9, {{1, 101}});
  EXPECT_EQ(h.names(), "lost-write");
}
TEST(BlackBox, NobodyPassedIt) {
  History h;
  h.send(100, 0), h.send(101, 1);
  h.assign(9, 1);
  h.poll(9, {{1, 101}});
  EXPECT_EQ(h.names(), "");
}
TEST(BlackBox, DuplicateOnlyOfExactProducers) {
  for (const bool exact : {true, false}) {
    History h;
    h.send(100, 0, exact);
    h.poll(9, {{0, 100}, {1, 100}});
    EXPECT_EQ(h.names(), exact ? "duplicate" : "");
  }
}
TEST(BlackBox, InconsistentOffsets) {
  History readers;
  readers.poll(8, {{0, 100}}), readers.poll(9, {{0, 101}});
  EXPECT_EQ(readers.names(), "inconsistent-offsets");
  History h;
  h.send(100, 0);
  h.poll(9, {{0, 101}, {1, 100}});
  EXPECT_EQ(h.names(), "inconsistent-offsets");
}
TEST(BlackBox, Polls) {
  History back;
  back.poll(9, {{0, 1}, {1, 2}}), back.poll(9, {{1, 2}});
  EXPECT_EQ(back.names(), "nonmonotonic-poll");
  History sought;
  sought.poll(9, {{0, 1}, {1, 2}}), sought.assign(9, 0, HistoryCall::seek), sought.poll(9, {{0, 1}});
  EXPECT_EQ(sought.names(), "");
  History inside;
  inside.poll(9, {{0, 1}, {2, 3}, {1, 2}});
  EXPECT_EQ(inside.names(), "int-nonmonotonic-poll int-poll-skip");
  History twice;
  twice.poll(9, {{0, 1}, {0, 1}});
  EXPECT_EQ(twice.names(), "int-nonmonotonic-poll");
  History skip;
  skip.poll(8, {{0, 1}, {1, 2}, {2, 3}}), skip.poll(9, {{0, 1}}), skip.poll(9, {{2, 3}});
  EXPECT_EQ(skip.names(), "poll-skip");
  History assigned;
  assigned.poll(8, {{0, 1}, {1, 2}}), assigned.assign(9, 0), assigned.poll(9, {{1, 2}});
  EXPECT_EQ(assigned.names(), "poll-skip");
  History inner;
  inner.poll(8, {{0, 1}, {1, 2}, {2, 3}}), inner.poll(9, {{0, 1}, {2, 3}});
  EXPECT_EQ(inner.names(), "int-poll-skip");
  History hole;  // nobody has ever seen offset 1
  hole.poll(8, {{0, 1}}), hole.poll(8, {{2, 3}}), hole.poll(9, {{0, 1}, {2, 3}});
  EXPECT_EQ(hole.names(), "");
}
TEST(BlackBox, SendOrder) {
  for (const bool exact : {true, false}) {
    History h;
    h.send(100, 5, exact), h.send(101, 4, exact);
    EXPECT_EQ(h.names(), exact ? "nonmonotonic-send" : "");
    History p;
    const auto a = p.begin(100, exact), b = p.begin(101, exact);
    p.end(a, 100, HistoryType::ok, 5), p.end(b, 101, HistoryType::ok, 4);
    EXPECT_EQ(p.names(), exact ? "int-nonmonotonic-send" : "");
  }
  History skip;
  const auto a = skip.begin(100), b = skip.begin(101);
  skip.end(a, 100, HistoryType::ok, 0), skip.end(b, 101, HistoryType::ok, 2);
  skip.poll(9, {{0, 100}, {1, 7}, {2, 101}});
  EXPECT_EQ(skip.names(), "int-send-skip");
  EXPECT_TRUE(skip.check().valid());
}
// With acks=1 a leader that is deposed without knowing acknowledges what nobody will ever read.
TEST(BlackBox, SendsThatMayBeLostHaveAnOrderOnceTheyAreRead) {
  for (const bool first_read : {true, false}) {
    for (const bool second_read : {true, false}) {
      History h;
      h.send(100, 5, true, 1), h.send(101, 4, true, 1);
      h.poll(9, {{4, second_read ? 101 : 7}, {5, first_read ? 100 : 8}});
      EXPECT_EQ(h.names(), first_read && second_read ? "nonmonotonic-send" : "") << first_read << second_read;
    }
  }
}
TEST(BlackBox, ATopicOfAnOldNameIsDisregarded) {
  for (const std::string_view name : {"orders", "orders-of-others"}) {
    BlackBox box;
    HistoryEntry e;
    e.topic = "orders", e.type = HistoryType::ok, e.call = HistoryCall::send, e.acks = -1;
    e.op = 1, e.value = 100, e.offset = 0;
    box.add(e);
    box.disregard(name);
    e.op = 2, e.call = HistoryCall::poll, e.process = 9;
    e.records = {{0, 101}, {1, 102}};
    box.add(e);
    EXPECT_EQ(box.finish().valid(), name == "orders") << name;
  }
}
TEST(BlackBox, BadLinesAreNamedAndATornTailIsDropped) {
  std::istringstream bad("{\"op\":1,\"type\":\"ok\",\"f\":\"poll\"}\n{\"op\":x}\n");
  EXPECT_TRUE(check_history(bad).error().starts_with("line 2: bad value of \"op\""));
  std::istringstream torn("{\"op\":1,\"type\":\"ok\",\"f\":\"poll\"}\n{\"op\":2,\"ty");
  EXPECT_EQ(check_history(torn)->entries, 1u);
  HistoryEntry e;
  EXPECT_FALSE(parse_history_line("{\"op\":1,\"type\":\"maybe\",\"f\":\"poll\"}", e));
  EXPECT_FALSE(parse_history_line("[]", e));
  for (const std::string broken :
       {R"("op":-1)", R"("op":1,"process":-1)", R"("op":1,"offset":-2)", R"("op":1,"records":[[-1,1]])",
        R"("op":1,"records":[[4611686018427387904,1]])", R"("op":1,"time_ns":9223372036854775807)",
        R"("op":1,"value":9223372036854775808)"}) {
    const std::string line = "{" + broken + R"(,"type":"ok","f":"poll"})";
    EXPECT_FALSE(parse_history_line(line, e)) << line;
  }
  EXPECT_TRUE(parse_history_line(
      R"({"op":1,"more":{"a":[1,{"b":"}"}],"c":null},"type":"ok","f":"txn","topic":"a\"\u00e9"})", e));
  EXPECT_EQ(e.topic, "a\"\xc3\xa9");
}

}  // namespace
}  // namespace verdict::checker
