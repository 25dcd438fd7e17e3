#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "protocol/client/consumer.h"
#include "protocol/wire/gen/fetch.h"

// What a Consumer is made of; for its own source files.
namespace verdict::client {

struct Consumer::State {
  enum class Phase : std::uint8_t {
    locate,  // asks where `start` is
    check,   // asks whether the leader's log still holds what was read (KIP-320)
    fetch,
    failed,  // until seek()
  };
  TopicPartition name;
  Phase phase = Phase::locate;
  StartAt start;
  std::uint64_t seeks = 0;  // answers to requests from before the last one are dropped
  Offset position;
  LeaderEpoch read_epoch = kNoEpoch;     // of the last batch read
  LeaderEpoch checked_epoch = kNoEpoch;  // of the leader that the position is known to be right for
  LeaderEpoch leader_epoch = kNoEpoch;   // as of the last look at the metadata that knew a leader
  Uuid topic_id;                         // likewise
  struct Known {
    std::uint64_t generation = ~std::uint64_t{0};  // of the metadata that the rest is from
    std::optional<Leader> leader;
    Uuid topic_id;
  } known;
  bool busy = false;  // in a request of locate or check
  bool gone = false;  // unassigned, perhaps while its fetch waits for a connection
  int failures = 0;
  MonoTime not_before = MonoTime::min();
};

struct Consumer::Asked {
  StatePtr state;
  std::uint64_t seeks = 0;
  Offset offset;
};

struct Consumer::Node {
  bool busy = false;  // a fetch is in flight or unpolled
  // KIP-227. epoch 0: the next fetch is a full one and asks for a new session.
  std::int32_t session_id = 0;
  std::int32_t session_epoch = 0;
  struct InSession {
    TopicPartition name;
    Uuid topic_id;
    Offset offset;
    LeaderEpoch epoch;
    friend bool operator==(const InSession&, const InSession&) = default;
  };
  std::vector<InSession> session;  // what the node believes, by name

  void forget_session(bool keep_id) {
    if (!keep_id) session_id = 0;
    session_epoch = 0;
    session.clear();
  }
};

struct Consumer::Answer {
  NodeId node;
  bool by_id = false;
  std::vector<Asked> asked;  // in the order of the request
  wire::Message<wire::FetchResponse> response;
};

}  // namespace verdict::client
