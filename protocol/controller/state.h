#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/config_values.h"
#include "protocol/controller/announcements.h"
#include "protocol/controller/controller.h"
#include "protocol/controller/election.h"
#include "protocol/wire/errors.h"

namespace verdict::controller {

using protocol::MetadataRecord;
using wire::ErrorCode;

struct Controller::State {
  // What only the active controller knows of a broker: when it was last heard, and how far it has read.
  struct Session {
    BrokerEpoch epoch;
    std::optional<MonoTime> last_contact;  // none: registered, not heard of since
    Offset metadata_offset = kNoOffset;
    Offset controlled_shutdown_offset = kNoOffset;
  };
  struct Refused {
    Uuid incarnation;
    ErrorCode error = ErrorCode::NONE;
    friend bool operator==(const Refused&, const Refused&) = default;
  };
  struct Deferred {
    Offset until;  // committed when the high watermark reaches it
    Token token;
    Response response;
    Response refusal;  // if leadership is lost first
  };

  State(Options o, protocol::Observer* observer);

  // ---- records and answers (controller.cpp) ----
  void append(std::vector<MetadataRecord> records, Effects& out, bool clean_registration = false);
  template <class T>
  void respond(Token token, const T& value, const T& refusal, Effects& out);
  template <class T>
  void respond_now(Token token, const T& value, Effects& out) {
    out.list.push_back(effects::Respond{.token = token, .response = wire::Message<T>::copy(value)});
  }
  void arm(MonoTime now, Effects& out);
  void log(Effects& out, bool warning, std::string text) { out.list.push_back(effects::Log{warning, std::move(text)}); }

  // ---- brokers (brokers.cpp) ----
  wire::BrokerRegistrationResponse register_broker(const events_in::RegisterBroker&, MonoTime now, Effects&);
  bool first_refusal(const wire::BrokerRegistrationRequest&, ErrorCode);
  std::optional<std::string> bad_registration(const wire::BrokerRegistrationRequest&, ErrorCode& error) const;
  wire::BrokerHeartbeatResponse heartbeat(const events_in::Heartbeat&, MonoTime now, Effects&);
  void fence_expired(MonoTime now, Effects&);
  bool has_valid_session(const protocol::BrokerRegistration&, MonoTime now) const;
  ErrorCode check_broker_epoch(std::int32_t broker, std::int64_t epoch, Effects&) const;  // or STALE_BROKER_EPOCH
  Offset lowest_active_offset() const;

  // ---- partitions (partitions.cpp) ----
  enum class Leaving : std::uint8_t { fenced, shutting_down, registering };
  void remove_from_isrs(NodeId broker, std::vector<MetadataRecord>& records, Effects&);
  void elect_leaderless(NodeId returning, std::vector<MetadataRecord>& records, Effects&);
  void balance_leaders(Effects&);
  ErrorCode check_alter(const wire::AlterPartitionRequest::PartitionData&, NodeId sender, int version,
                        const protocol::PartitionRegistration*, Effects&) const;
  wire::AlterPartitionResponse alter_partition(const events_in::AlterPartition&, wire::Arena&, Effects&);
  Election election_for(std::string_view topic) const;

  // ---- topics (topics.cpp) ----
  wire::CreateTopicsResponse create_topics(const events_in::CreateTopics&, wire::Arena&, Effects&);
  wire::DeleteTopicsResponse delete_topics(const events_in::DeleteTopics&, wire::Arena&, Effects&);

  // ---- features.cpp ----
  wire::UpdateFeaturesResponse update_features(const events_in::UpdateFeatures&, wire::Arena&, Effects&);

  // ---- producer ids (producer_ids.cpp) ----
  wire::AllocateProducerIdsResponse allocate_producer_ids(const events_in::AllocateProducerIds&, Effects&);

  protocol::ConfigView view() const { return {options.config, image, kNoNode}; }

  Options options;
  protocol::Observer* observer;
  protocol::MetadataImage image;
  Announcements announcements;
  bool active = false;
  std::int32_t epoch = 0;
  Offset next_offset{0};
  Offset committed{0};
  std::map<NodeId, Session> sessions;
  std::map<NodeId, Refused> refused;  // registrations, until one is accepted: a broker asks again and again
  std::deque<Deferred> deferred;
  Duration session_timeout;
  Duration idle_interval;  // metadata.max.idle.interval.ms; zero: no NoOp records
  Duration unclean_interval;
  Duration balance_interval;  // zero: auto.leader.rebalance.enable is false
  MonoTime idle_at{};
  MonoTime unclean_at{};
  MonoTime balance_at{};
  MonoTime armed{};  // zero: no timer
};

template <class T>
void Controller::State::respond(Token token, const T& value, const T& refusal, Effects& out) {
  if (committed >= next_offset) {
    respond_now(token, value, out);
    return;
  }
  deferred.push_back({.until = next_offset,
                      .token = token,
                      .response = wire::Message<T>::copy(value),
                      .refusal = wire::Message<T>::copy(refusal)});
}

}  // namespace verdict::controller
