#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/group/classic_group.h"
#include "runtime/names.h"
#include "runtime/time.h"
#include "runtime/uuid.h"

// One group of the consumer protocol (KIP-848): the coordinator computes who shall have what (the target, in an epoch),
// and each member comes there in its own time. No clock, timer or record; it changes by apply() alone, so that what a
// coordinator decides and what it loads are the same.
namespace verdict::group {

using Assignment = std::map<Uuid, std::set<std::int32_t>>;  // no topic without partitions
bool has(const Assignment& assignment, const Uuid& topic, std::int32_t partition);

// As in CurrentMemberAssignment records.
enum class MemberState : std::int8_t {
  stable = 0,      // has all of its target
  unrevoked = 1,   // is to give up partitions first
  unreleased = 2,  // waits for partitions that others still have
  unknown = 127    // of a later version
};

constexpr std::int32_t kLeftEpoch = -1;        // is gone
constexpr std::int32_t kStaticLeftEpoch = -2;  // its instance may come back

struct ClassicMembership {  // of a member that speaks the classic protocol
  std::int32_t session_timeout_ms = 0;
  std::vector<MemberProtocol> protocols;
  friend bool operator==(const ClassicMembership&, const ClassicMembership&) = default;
};

struct MemberMetadata {  // what it said of itself
  std::optional<std::string> instance_id;
  std::optional<std::string> rack_id;
  std::string client_id;
  std::string client_host;
  std::set<std::string, std::less<>> topics;
  std::optional<std::string> regex = "";  // nothing or empty: none
  std::int32_t rebalance_timeout_ms = -1;
  std::optional<std::string> assignor;
  std::optional<ClassicMembership> classic;
  friend bool operator==(const MemberMetadata&, const MemberMetadata&) = default;

  std::string_view pattern() const { return regex ? std::string_view(*regex) : std::string_view{}; }
};

struct MemberAssignment {  // what it has, and in which epoch
  std::int32_t epoch = 0;
  std::int32_t previous_epoch = -1;
  MemberState state = MemberState::stable;
  Assignment assigned;
  Assignment revoking;  // it was told to give up, and has not said that it did
  friend bool operator==(const MemberAssignment&, const MemberAssignment&) = default;
};

struct ConsumerMember {
  std::string id;
  MemberMetadata metadata;
  MemberAssignment current;
  friend bool operator==(const ConsumerMember&, const ConsumerMember&) = default;

  bool classic() const { return metadata.classic.has_value(); }
  bool reconciled_to(std::int32_t epoch) const {
    return current.state == MemberState::stable && current.epoch == epoch;
  }
};

struct ResolvedRegex {  // the topics that a regular expression means
  std::set<std::string, std::less<>> topics;
  std::int64_t version = 0;  // of the cluster's metadata
  std::int64_t timestamp_ms = 0;
  friend bool operator==(const ResolvedRegex&, const ResolvedRegex&) = default;
};

// What a group's records say; each without its value is a tombstone.
namespace changes {
struct Epoch {
  struct Value {
    std::int32_t epoch = 0;
    std::int64_t metadata_hash = 0;
  };
  std::optional<Value> value;
};
struct Metadata {
  std::string member;
  std::optional<MemberMetadata> value;
};
struct TargetEpoch {
  std::optional<std::int32_t> value;
};
struct Target {
  std::string member;
  std::optional<Assignment> value;
};
struct Current {
  std::string member;
  std::optional<MemberAssignment> value;
};
struct Regex {
  std::string pattern;
  std::optional<ResolvedRegex> value;
};
struct PartitionMetadata {  // Kafka before 4.1: superseded by Epoch's hash
  bool present = false;
};
}  // namespace changes
using ConsumerChange = std::variant<changes::Epoch, changes::Metadata, changes::TargetEpoch, changes::Target,
                                    changes::Current, changes::Regex, changes::PartitionMetadata>;

struct SubscriptionCount {   // of a topic
  std::size_t by_name = 0;   // members
  std::size_t by_regex = 0;  // regular expressions
};
using SubscribedTopics = std::map<std::string, SubscriptionCount, std::less<>>;
using Counts = std::map<std::string, std::size_t, std::less<>>;

void count(Counts& counts, std::string_view key, int difference);

class ConsumerGroup {
 public:
  using Members = std::map<std::string, ConsumerMember, std::less<>>;
  using Targets = std::map<std::string, Assignment, std::less<>>;
  using Regexes = std::map<std::string, ResolvedRegex, std::less<>>;

  explicit ConsumerGroup(std::string id, DefectSet defects = {}) : id_(std::move(id)), defects_(defects) {}

  void apply(const ConsumerChange& change);

  const std::string& id() const { return id_; }
  std::int32_t epoch() const { return epoch_; }
  std::int64_t metadata_hash() const { return metadata_hash_; }
  std::int32_t target_epoch() const { return target_epoch_; }
  std::string_view state_name() const;
  bool empty() const { return members_.empty(); }

  const Members& members() const { return members_; }
  const ConsumerMember* find(std::string_view member) const;
  const ConsumerMember* static_member(std::string_view instance) const;
  const ConsumerMember* static_member(const std::optional<std::string>& instance) const;
  const Targets& targets() const { return targets_; }
  const Assignment* target(std::string_view member) const;  // null: none was computed yet
  const Assignment& target_or_none(std::string_view member) const;
  // -1: nobody has it. Whoever has to give it up has it until it says that it did.
  std::int32_t partition_epoch(const Uuid& topic, std::int32_t partition) const;
  bool waits_for_others(const ConsumerMember& member) const;

  const SubscribedTopics& subscribed() const { return subscribed_; }
  bool is_subscribed(std::string_view topic) const { return subscribed_.contains(topic); }
  const Regexes& regexes() const { return regexes_; }
  const ResolvedRegex* regex(std::string_view pattern) const;
  const Counts& patterns() const { return patterns_; }  // members by their regular expression
  std::size_t members_with(std::string_view pattern) const;
  bool has_partition_metadata() const { return has_partition_metadata_; }

  // As they will be: with `to` in the place of `from`.
  SubscribedTopics subscribed_with(const ConsumerMember& from, const ConsumerMember& to) const;
  SubscribedTopics subscribed_without(const std::vector<std::string>& members,
                                      const std::vector<std::string>& patterns) const;
  Counts patterns_with(const ConsumerMember& from, const ConsumerMember& to) const;
  std::optional<std::string> preferred_assignor_with(const ConsumerMember& from, const ConsumerMember& to) const;
  std::optional<std::string> preferred_assignor() const;
  static bool homogeneous(const Counts& patterns, const SubscribedTopics& topics, std::size_t members);
  bool homogeneous() const { return homogeneous(patterns_, subscribed_, members_.size()); }

  std::size_t classic_members() const { return classic_members_; }
  bool supports_classic(std::string_view type, const std::vector<MemberProtocol>& protocols) const;

  // A commit without a member is taken while there is none.
  ErrorCode check_commit(std::string_view member, std::int32_t epoch, int version) const;
  ErrorCode check_transactional_commit(std::string_view member, std::optional<std::string_view> instance,
                                       std::int32_t epoch) const;
  ErrorCode check_fetch(std::optional<std::string_view> member, std::int32_t epoch) const;

  // Is topic metadata to be looked at anew? Nothing durable: after a failover it is.
  bool metadata_expired(MonoTime now) const { return now >= metadata_deadline_; }
  void set_metadata_deadline(MonoTime when) { metadata_deadline_ = when; }
  void request_metadata_refresh() { metadata_deadline_ = MonoTime{}; }

 private:
  struct Owner {
    std::string member;
    std::int32_t epoch = 0;
  };
  void apply_one(const changes::Epoch&);
  void apply_one(const changes::Metadata&);
  void apply_one(const changes::TargetEpoch&);
  void apply_one(const changes::Target&);
  void apply_one(const changes::Current&);
  void apply_one(const changes::Regex&);
  void apply_one(const changes::PartitionMetadata&);
  void count(const MemberMetadata& metadata, int difference);
  ConsumerMember& member(const std::string& id);
  void own(const ConsumerMember& member, const Assignment& partitions);
  void disown(const ConsumerMember& member, const Assignment& partitions);

  std::string id_;
  DefectSet defects_;
  std::int32_t epoch_ = 0;
  std::int64_t metadata_hash_ = 0;
  std::int32_t target_epoch_ = 0;
  bool has_partition_metadata_ = false;
  Members members_;
  Targets targets_;
  Regexes regexes_;
  std::map<Uuid, std::map<std::int32_t, Owner>> owners_;
  std::map<std::string, std::string, std::less<>> static_members_;  // instance -> member id
  SubscribedTopics subscribed_;
  Counts patterns_;
  Counts assignors_;
  std::size_t classic_members_ = 0;
  Counts classic_protocols_;
  MonoTime metadata_deadline_{};
};

}  // namespace verdict::group
