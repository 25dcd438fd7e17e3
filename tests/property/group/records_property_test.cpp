#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <vector>

#include "protocol/group/records.h"
#include "tests/unit/group/harness.h"

// What the log holds is read, or refused with a sentence, whatever it is.
namespace verdict::group {
namespace {

Member member_of(int n) {
  Member out{.id = "m" + std::to_string(n),
             .client_id = *rc::gen::string<std::string>(),
             .client_host = "/127.0.0.1",
             .rebalance_timeout_ms = *rc::gen::inRange(0, 1 << 30),
             .session_timeout_ms = *rc::gen::inRange(0, 1 << 30),
             .assignment = bytes_of(*rc::gen::string<std::string>())};
  if (*rc::gen::arbitrary<bool>()) {
    out.instance_id = "i" + std::to_string(n);
  }
  out.protocols.push_back({.name = "range", .metadata = bytes_of(*rc::gen::string<std::string>())});
  return out;
}

LogRecord some_record() {
  if (*rc::gen::arbitrary<bool>()) {
    CommittedOffset offset{.offset = *rc::gen::arbitrary<std::int64_t>(),
                           .leader_epoch = *rc::gen::arbitrary<std::int32_t>(),
                           .metadata = *rc::gen::string<std::string>(),
                           .commit_timestamp_ms = *rc::gen::arbitrary<std::int64_t>()};
    if (*rc::gen::arbitrary<bool>()) {
      offset.expire_timestamp_ms = *rc::gen::inRange<std::int64_t>(0, 1'000'000);
      offset.leader_epoch = -1;  // version 1 has no place for it
    }
    return offset_record(*rc::gen::string<std::string>(), *rc::gen::string<std::string>(),
                         *rc::gen::arbitrary<std::int32_t>(), offset);
  }
  std::vector<Member> members;
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
    members.push_back(member_of(i));
  }
  return group_record(ClassicGroup(*rc::gen::string<std::string>(), *rc::gen::inRange(0, 1 << 30), "consumer", "range",
                                   "m1", *rc::gen::inRange<std::int64_t>(0, 1'000'000), std::move(members)));
}

RC_GTEST_PROP(GroupRecordProperty, WhatIsWrittenIsRead, ()) {
  const LogRecord record = some_record();
  const auto read = read_record(record.key, *record.value);
  RC_ASSERT(read.has_value());
  if (const auto* offset = std::get_if<OffsetRecord>(&*read)) {
    RC_ASSERT(offset_record(offset->group, offset->topic, offset->partition, *offset->value) == record);
  } else {
    RC_ASSERT(group_record(*std::get<GroupRecord>(*read).value) == record);
  }
}

RC_GTEST_PROP(GroupRecordProperty, DamageIsAnErrorOrAnotherRecord, ()) {
  LogRecord record = some_record();
  Blob& hurt = *rc::gen::arbitrary<bool>() ? record.key : *record.value;
  if (*rc::gen::arbitrary<bool>()) {
    hurt.resize(*rc::gen::inRange<std::size_t>(0, hurt.size()));
  } else {
    hurt[*rc::gen::inRange<std::size_t>(0, hurt.size())] = static_cast<std::byte>(*rc::gen::arbitrary<std::uint8_t>());
  }
  GroupCoordinator machine({}, nullptr);
  const auto done = machine.replay(record.key, *record.value, 0, std::nullopt);
  if (!done) {
    RC_ASSERT(!done.error().empty());
    return;
  }
  Effects out;
  machine.loaded(MonoTime{1000s}, WallTime{}, out);
  machine.step(events_in::Tick{}, MonoTime{10'000'000s}, WallTime{}, out);
}

}  // namespace
}  // namespace verdict::group
