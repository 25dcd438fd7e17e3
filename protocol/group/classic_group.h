#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/group/coordinator.h"
#include "protocol/wire/errors.h"

// One group of the classic protocol: who is in it, in which state and generation it is. No clock, timer or record.
namespace verdict::group {

using Blob = std::vector<std::byte>;

constexpr std::string_view kConsumerProtocolType = "consumer";

enum class GroupState : std::uint8_t {
  empty,                 // no members; perhaps offsets
  preparing_rebalance,   // members are joining anew
  completing_rebalance,  // all have joined, the leader's assignment is awaited
  stable
};
std::string_view name_of(GroupState);  // "Empty", "PreparingRebalance", ...

struct Waiting {  // a request whose answer comes later
  Token token = 0;
  int version = 0;
};

struct MemberProtocol {  // in the member's order of preference
  std::string name;
  Blob metadata;
  friend bool operator==(const MemberProtocol&, const MemberProtocol&) = default;
};

struct Member {
  std::string id;
  std::optional<std::string> instance_id;  // KIP-345: a static member
  std::string client_id;
  std::string client_host;
  std::int32_t rebalance_timeout_ms = 0;
  std::int32_t session_timeout_ms = 0;
  std::vector<MemberProtocol> protocols;
  Blob assignment;
  bool is_new = false;  // has joined no generation yet: waiting does not keep it alive
  std::optional<Waiting> join;
  std::optional<Waiting> sync;

  const MemberProtocol* find(std::string_view protocol) const;
  wire::Bytes metadata(std::string_view protocol) const;  // empty: it lacks the protocol
};
// Of a request: the first of each name counts.
std::vector<MemberProtocol> protocols_of(const wire::JoinGroupRequest&);

class ClassicGroup {
 public:
  using Members = std::map<std::string, Member, std::less<>>;

  explicit ClassicGroup(std::string id) : id_(std::move(id)) {}  // empty, generation 0
  // As a record had it; its subscriptions are still to be read.
  ClassicGroup(std::string id, std::int32_t generation, std::optional<std::string> protocol_type,
               std::optional<std::string> protocol, std::optional<std::string> leader,
               std::optional<std::int64_t> state_timestamp_ms, std::vector<Member> members);

  const std::string& id() const { return id_; }
  GroupState state() const { return state_; }
  GroupState previous_state() const { return previous_; }
  bool is(GroupState state) const { return state_ == state; }
  std::int32_t generation() const { return generation_; }
  const std::optional<std::string>& protocol_type() const { return protocol_type_; }
  const std::optional<std::string>& protocol() const { return protocol_; }
  const std::optional<std::string>& leader() const { return leader_; }
  bool is_leader(std::string_view member) const { return leader_ && *leader_ == member; }
  std::optional<std::int64_t> state_timestamp_ms() const { return state_timestamp_ms_; }
  void set_state_timestamp(WallTime wall) { state_timestamp_ms_ = to_ms(wall); }

  const Members& members() const { return members_; }
  std::vector<std::string> member_ids() const;
  bool has(std::string_view member) const { return members_.contains(member); }
  Member& member(std::string_view id);  // must be there
  const Member& member(std::string_view id) const;
  const std::string* static_member(std::string_view instance) const;  // its member id; null: none

  void add(Member member, std::string_view protocol_type);  // the first member's type is the group's
  Member remove(std::string_view id);                       // must be there; its requests are the caller's to answer
  // The member goes on under another id, with its assignment; gives back the old one, for its requests.
  Member replace_static(std::string_view instance, std::string new_id);
  void update(Member& member, std::vector<MemberProtocol> protocols, std::int32_t rebalance_timeout_ms,
              std::int32_t session_timeout_ms);
  std::optional<Waiting> hold_join(Member& member, Waiting request);  // gives back the one that waited before
  std::optional<Waiting> take_join(Member& member);

  // Member ids that were given away (KIP-394) and are expected back.
  std::set<std::string, std::less<>> pending_joins;
  std::set<std::string, std::less<>> pending_syncs;  // of this generation
  // While nobody knows yet how many members there will be (group.initial.rebalance.delay.ms).
  struct InitialDelay {
    std::int32_t delay_ms = 0;
    std::int32_t remaining_ms = 0;  // by which it may still grow
    bool new_member_added = false;
  };
  std::optional<InitialDelay> initial_delay;

  std::size_t awaiting_joins() const { return awaiting_joins_; }
  bool all_joined() const { return members_.size() == awaiting_joins_ && pending_joins.empty(); }
  std::int32_t rebalance_timeout_ms() const;  // the longest

  bool supports(std::string_view type, std::span<const MemberProtocol> protocols) const;
  std::string select_protocol() const;  // by the members' votes; among equals the first by name
  bool elect_joined_leader();           // false: nobody has joined

  bool can_rebalance() const { return state_ != GroupState::preparing_rebalance; }
  void transition(GroupState to, WallTime wall);
  void next_generation(WallTime wall);  // completing_rebalance, or empty without members

  void read_subscriptions();  // of the members' metadata in this generation
  // By any member. Where that can't be read of a consumer's metadata, all topics are.
  bool is_subscribed(std::string_view topic) const;
  bool uses_consumer_protocol() const { return protocol_type_ && *protocol_type_ == kConsumerProtocolType; }

  ErrorCode check_member(std::string_view member, std::optional<std::string_view> instance) const;
  ErrorCode check_commit(std::string_view member, std::optional<std::string_view> instance, std::int32_t generation,
                         bool transactional) const;

 private:
  void count(const Member& member, int difference);

  std::string id_;
  GroupState state_ = GroupState::empty;
  GroupState previous_ = GroupState::empty;
  std::optional<std::int64_t> state_timestamp_ms_;
  std::int32_t generation_ = 0;
  std::optional<std::string> protocol_type_;
  std::optional<std::string> protocol_;
  std::optional<std::string> leader_;
  Members members_;
  std::map<std::string, std::string, std::less<>> static_members_;  // instance -> member id
  std::map<std::string, std::size_t, std::less<>> supported_;       // protocol -> how many members have it
  std::size_t awaiting_joins_ = 0;
  std::optional<std::set<std::string, std::less<>>> subscribed_;
};

}  // namespace verdict::group
