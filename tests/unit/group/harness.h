#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "protocol/group/coordinator.h"
#include "protocol/group/records.h"
#include "protocol/wire/errors.h"

namespace verdict::wire {
inline void PrintTo(ErrorCode error, std::ostream* out) { *out << to_string(error); }
}  // namespace verdict::wire

namespace verdict::group {

inline std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}
inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
// What a consumer of `topics` joins with: version 0 of Kafka's ConsumerProtocolSubscription.
inline std::string subscription(const std::vector<std::string>& topics) {
  const auto be = [](std::size_t n, int size) {
    std::string out;
    for (int i = size - 1; i >= 0; --i) {
      out.push_back(static_cast<char>(n >> (8 * i)));
    }
    return out;
  };
  std::string out = be(0, 2) + be(topics.size(), 4);
  for (const std::string& topic : topics) {
    out += be(topic.size(), 2) + topic;
  }
  return out + be(0xffffffff, 4);
}

struct Logged {
  LogRecord record;
  std::optional<Producer> transactional = std::nullopt;
  std::optional<bool> marker = std::nullopt;  // not a record: the end of the producer's transaction; true: committed
};

struct Joiner {  // what a test says of a JoinGroup; the rest is as usual
  std::string member;
  std::optional<std::string> instance = std::nullopt;
  std::vector<std::pair<std::string, std::string>> protocols = {{"range", "meta"}};
  int version = 9;
  std::int32_t session_ms = 10'000;
  std::int32_t rebalance_ms = 60'000;
  std::string type = "consumer";
  std::string group = "g";
  std::string client = "c";
};

struct Syncer {
  std::string member;
  std::int32_t generation = 1;
  std::vector<std::pair<std::string, std::string>> assignments = {};
  std::optional<std::string> type = "consumer";
  std::optional<std::string> protocol = "range";
  std::optional<std::string> instance = std::nullopt;
  int version = 5;
  std::string group = "g";
};

struct Leaver {
  std::string member;
  std::optional<std::string> instance = std::nullopt;
};

struct Committer {
  std::string member;
  std::int32_t generation = -1;
  std::optional<std::string> instance = std::nullopt;
  int version = 9;
  std::int64_t retention_ms = -1;
  std::string metadata = "";
  std::string group = "g";
  std::int32_t leader_epoch = -1;
};

struct Fetched {
  std::int64_t offset = -2;
  std::int16_t error = 0;
  std::int32_t leader_epoch = -1;
  std::string metadata = "";
  friend bool operator==(const Fetched&, const Fetched&) = default;
};

// A coordinator whose log is a vector; answers are there at once.
class Harness {
 public:
  explicit Harness(GroupCoordinator::Options o = {}, const std::vector<Logged>& from = {},
                   MonoTime at = MonoTime{1000s}, protocol::Observer* observer = nullptr)
      : options(o),
        now(at),
        wall(std::chrono::milliseconds(1'700'000'000'000 + to_ms(at - MonoTime{}))),
        machine(o, observer) {
    for (const Logged& one : from) {
      if (one.marker) {
        machine.replay_marker(*one.transactional, *one.marker);
        continue;
      }
      const auto& value = one.record.value;
      const auto done =
          machine.replay(one.record.key, value ? std::optional<std::span<const std::byte>>(*value) : std::nullopt,
                         to_ms(wall), one.transactional);
      EXPECT_TRUE(done.has_value()) << done.error();
    }
    log = from;
    Effects out;
    machine.loaded(now, wall, out);
    take(out);
  }

  void take(Effects& out) {
    marks.insert(out.marks.begin(), out.marks.end());
    for (Effect& effect : out.list) {
      if (auto* append = std::get_if<effects::Append>(&effect)) {
        batches.push_back(append->records.size());
        for (LogRecord& record : append->records) {
          log.push_back({.record = std::move(record), .transactional = append->transactional});
        }
      } else if (auto* respond = std::get_if<effects::Respond>(&effect)) {
        logged_before[respond->token] = log.size();
        EXPECT_TRUE(answers.emplace(respond->token, std::move(respond->response)).second) << "answered twice";
      } else if (const auto* timer = std::get_if<effects::ArmTimer>(&effect)) {
        timer_at = timer->when;
      } else {
        lines.push_back(std::get<effects::Log>(effect).text);
      }
    }
  }
  template <class Event>
  void step(const Event& event) {
    Effects out;
    machine.step(event, now, wall, out);
    take(out);
  }
  // Time passes, and the timer rings whenever it is due.
  void wait(std::int64_t ms) {
    const MonoTime end = now + from_ms(ms);
    while (timer_at && *timer_at <= end) {
      move_to(std::max(*timer_at, now));
      timer_at.reset();
      step(events_in::Tick{});
    }
    move_to(end);
  }
  void move_to(MonoTime to) {
    wall += std::chrono::milliseconds(to_ms(to - now));
    now = to;
  }

  bool answered(Token token) const { return answers.contains(token); }
  template <class Response>
  const Response& answer(Token token) {
    const auto found = answers.find(token);
    if (found == answers.end()) {
      ADD_FAILURE() << "no answer yet to " << token;
      static const Response kNone{};
      return kNone;
    }
    return std::get<wire::Message<Response>>(found->second).value;
  }
  const wire::JoinGroupResponse& joined(Token token) { return answer<wire::JoinGroupResponse>(token); }
  const wire::SyncGroupResponse& synced(Token token) { return answer<wire::SyncGroupResponse>(token); }

  Token join(const Joiner& who) {
    std::deque<std::vector<std::byte>> metadata;
    std::vector<wire::JoinGroupRequest::JoinGroupRequestProtocol> protocols;
    for (const auto& [name, text] : who.protocols) {
      metadata.push_back(bytes_of(text));
      protocols.push_back({.name = name, .metadata = metadata.back()});
    }
    wire::JoinGroupRequest request{.group_id = who.group,
                                   .session_timeout_ms = who.session_ms,
                                   .rebalance_timeout_ms = who.rebalance_ms,
                                   .member_id = who.member,
                                   .protocol_type = who.type,
                                   .protocols = protocols};
    if (who.instance) {
      request.group_instance_id = *who.instance;
    }
    step(events_in::JoinGroup{.token = ++last,
                              .version = who.version,
                              .client_id = who.client,
                              .client_host = "/127.0.0.1",
                              .request = request,
                              .random = {0x1234, last}});
    return last;
  }
  // The two joins of a dynamic member; gives the second's token.
  Token join_new(Joiner who, std::string* id = nullptr) {
    const Token first = join(who);
    EXPECT_EQ(joined(first).error_code, code(ErrorCode::MEMBER_ID_REQUIRED));
    who.member = joined(first).member_id;
    if (id != nullptr) {
      *id = who.member;
    }
    return join(who);
  }

  Token sync(const Syncer& who) {
    std::deque<std::vector<std::byte>> held;
    std::vector<wire::SyncGroupRequest::SyncGroupRequestAssignment> assignments;
    for (const auto& [member, text] : who.assignments) {
      held.push_back(bytes_of(text));
      assignments.push_back({.member_id = member, .assignment = held.back()});
    }
    const wire::SyncGroupRequest request{.group_id = who.group,
                                         .generation_id = who.generation,
                                         .member_id = who.member,
                                         .group_instance_id = who.instance,
                                         .protocol_type = who.type,
                                         .protocol_name = who.protocol,
                                         .assignments = assignments};
    step(events_in::SyncGroup{.token = ++last, .version = who.version, .request = request});
    return last;
  }

  ErrorCode heartbeat(const std::string& member, std::int32_t generation = 1,
                      std::optional<std::string> instance = std::nullopt, const std::string& group = "g") {
    const wire::HeartbeatRequest request{
        .group_id = group, .generation_id = generation, .member_id = member, .group_instance_id = instance};
    step(events_in::Heartbeat{.token = ++last, .version = 4, .request = request});
    return wire::error_from_code(answer<wire::HeartbeatResponse>(last).error_code);
  }

  // The codes: of the whole, then of each member.
  std::vector<std::int16_t> leave(const std::vector<Leaver>& who, int version = 5, const std::string& group = "g") {
    wire::LeaveGroupRequest request{.group_id = group};
    std::vector<wire::LeaveGroupRequest::MemberIdentity> members;
    if (version < 3) {
      request.member_id = who.at(0).member;
    } else {
      for (const Leaver& one : who) {
        members.push_back({.member_id = one.member, .group_instance_id = one.instance});
      }
      request.members = members;
    }
    step(events_in::LeaveGroup{.token = ++last, .version = version, .request = request});
    const auto& response = answer<wire::LeaveGroupResponse>(last);
    std::vector<std::int16_t> out{response.error_code};
    for (const auto& one : response.members) {
      out.push_back(one.error_code);
    }
    return out;
  }

  ErrorCode commit(const std::string& topic, std::int32_t partition, std::int64_t offset, const Committer& who = {}) {
    wire::OffsetCommitRequest::OffsetCommitRequestPartition one{.partition_index = partition,
                                                                .committed_offset = offset,
                                                                .committed_leader_epoch = who.leader_epoch,
                                                                .committed_metadata = who.metadata};
    wire::OffsetCommitRequest::OffsetCommitRequestTopic in{.name = topic, .partitions = std::span(&one, 1)};
    const wire::OffsetCommitRequest request{.group_id = who.group,
                                            .generation_id_or_member_epoch = who.generation,
                                            .member_id = who.member,
                                            .group_instance_id = who.instance,
                                            .retention_time_ms = who.retention_ms,
                                            .topics = std::span(&in, 1)};
    step(events_in::OffsetCommit{.token = ++last, .version = who.version, .request = request});
    return wire::error_from_code(answer<wire::OffsetCommitResponse>(last).topics[0].partitions[0].error_code);
  }
  ErrorCode txn_commit(std::int64_t producer, const std::string& topic, std::int32_t partition, std::int64_t offset,
                       const Committer& who = {}) {
    wire::TxnOffsetCommitRequest::TxnOffsetCommitRequestPartition one{
        .partition_index = partition, .committed_offset = offset, .committed_metadata = who.metadata};
    wire::TxnOffsetCommitRequest::TxnOffsetCommitRequestTopic in{.name = topic, .partitions = std::span(&one, 1)};
    const wire::TxnOffsetCommitRequest request{.transactional_id = "t",
                                               .group_id = who.group,
                                               .producer_id = producer,
                                               .producer_epoch = 3,
                                               .generation_id = who.generation,
                                               .member_id = who.member,
                                               .group_instance_id = who.instance,
                                               .topics = std::span(&in, 1)};
    step(events_in::TxnOffsetCommit{.token = ++last, .version = 5, .request = request});
    return wire::error_from_code(answer<wire::TxnOffsetCommitResponse>(last).topics[0].partitions[0].error_code);
  }
  void marker(std::int64_t producer, bool committed) {
    const Producer ended{.id = producer, .epoch = 3};
    log.push_back({.record = {}, .transactional = ended, .marker = committed});
    step(events_in::Marker{.producer = ended, .committed = committed});
  }

  Fetched fetch(const std::string& topic, std::int32_t partition, bool stable = false, const std::string& group = "g") {
    wire::OffsetFetchRequest::OffsetFetchRequestTopics in{.name = topic, .partition_indexes = std::span(&partition, 1)};
    const wire::OffsetFetchRequest::OffsetFetchRequestGroup of{.group_id = group, .topics = std::span(&in, 1)};
    step(events_in::OffsetFetch{.token = ++last, .require_stable = stable, .group = of});
    const auto& one = answer<wire::OffsetFetchResponse>(last).groups[0].topics[0].partitions[0];
    return {one.committed_offset, one.error_code, one.committed_leader_epoch,
            std::string(one.metadata.value_or("null"))};
  }
  std::map<std::string, std::int64_t> fetch_all(bool stable = false, const std::string& group = "g") {
    const wire::OffsetFetchRequest::OffsetFetchRequestGroup of{.group_id = group, .topics = std::nullopt};
    step(events_in::OffsetFetch{.token = ++last, .require_stable = stable, .group = of});
    std::map<std::string, std::int64_t> out;
    for (const auto& topic : answer<wire::OffsetFetchResponse>(last).groups[0].topics) {
      for (const auto& one : topic.partitions) {
        out[std::string(topic.name) + "-" + std::to_string(one.partition_index)] =
            one.error_code == 0 ? one.committed_offset : -one.error_code;
      }
    }
    return out;
  }
  // The code of the whole, then of the partition.
  std::pair<ErrorCode, ErrorCode> delete_offset(const std::string& topic, std::int32_t partition,
                                                const std::string& group = "g") {
    wire::OffsetDeleteRequest::OffsetDeleteRequestPartition one{.partition_index = partition};
    wire::OffsetDeleteRequest::OffsetDeleteRequestTopic in{.name = topic, .partitions = std::span(&one, 1)};
    const wire::OffsetDeleteRequest request{.group_id = group, .topics = std::span(&in, 1)};
    step(events_in::OffsetDelete{.token = ++last, .version = 0, .request = request});
    const auto& response = answer<wire::OffsetDeleteResponse>(last);
    return {
        wire::error_from_code(response.error_code),
        response.topics.empty() ? ErrorCode::NONE : wire::error_from_code(response.topics[0].partitions[0].error_code)};
  }
  ErrorCode delete_group(const std::string& group = "g") {
    step(events_in::DeleteGroup{.token = ++last, .group_id = group});
    return wire::error_from_code(answer<wire::DeleteGroupsResponse>(last).results[0].error_code);
  }
  const wire::DescribeGroupsResponse::DescribedGroup& describe(const std::string& group = "g", int version = 6) {
    step(events_in::DescribeGroup{.token = ++last, .version = version, .group_id = group});
    return answer<wire::DescribeGroupsResponse>(last).groups[0];
  }
  std::string state(const std::string& group = "g") { return std::string(describe(group).group_state); }
  std::vector<std::string> list(std::vector<std::string_view> states = {}, std::vector<std::string_view> types = {}) {
    const wire::ListGroupsRequest request{.states_filter = states, .types_filter = types};
    step(events_in::ListGroups{.token = ++last, .version = 5, .request = request});
    std::vector<std::string> out;
    for (const auto& one : answer<wire::ListGroupsResponse>(last).groups) {
      out.push_back(std::string(one.group_id) + ":" + std::string(one.protocol_type) + ":" +
                    std::string(one.group_state) + ":" + std::string(one.group_type));
    }
    return out;
  }

  // A stable group "g" of `n` members; the first leads. Generation 1, assignments "a0", "a1", ...
  std::vector<std::string> stable(std::size_t n, Joiner who = {}) {
    std::vector<std::string> ids(n);
    std::vector<Token> joins;
    for (std::size_t i = 0; i < n; ++i) {
      if (who.instance) {
        who.instance = "i" + std::to_string(i);
        joins.push_back(join(who));
      } else {
        joins.push_back(join_new(who, &ids[i]));
      }
    }
    while (!answered(joins[0])) {
      wait(options.group_initial_rebalance_delay_ms);
    }
    std::vector<std::pair<std::string, std::string>> assignments;
    for (std::size_t i = 0; i < n; ++i) {
      ids[i] = joined(joins[i]).member_id;
      EXPECT_EQ(joined(joins[i]).error_code, 0);
      assignments.emplace_back(ids[i], "a" + std::to_string(i));
    }
    const std::int32_t generation = joined(joins[0]).generation_id;
    const std::string protocol = who.protocols[0].first;
    for (std::size_t i = 0; i < n; ++i) {
      const bool leads = ids[i] == joined(joins[0]).leader;
      sync({.member = ids[i],
            .generation = generation,
            .assignments = leads ? assignments : decltype(assignments){},
            .type = who.type,
            .protocol = protocol});
    }
    EXPECT_EQ(state(), "Stable");
    return ids;
  }

  GroupCoordinator::Options options;
  MonoTime now;
  WallTime wall;
  GroupCoordinator machine;
  std::vector<Logged> log;
  std::vector<std::size_t> batches;
  std::vector<std::string> lines;
  std::set<Mark> marks;
  std::map<Token, Response> answers;
  std::map<Token, std::size_t> logged_before;  // how long the log was when the answer was given
  std::optional<MonoTime> timer_at;
  Token last = 0;
};

}  // namespace verdict::group
