#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/config_keys.h"
#include "protocol/events.h"
#include "protocol/metadata_image.h"
#include "protocol/metadata_records.h"
#include "protocol/types.h"
#include "protocol/wire/codec.h"
#include "protocol/wire/gen/allocate_producer_ids.h"
#include "protocol/wire/gen/alter_partition.h"
#include "protocol/wire/gen/broker_heartbeat.h"
#include "protocol/wire/gen/broker_registration.h"
#include "protocol/wire/gen/create_topics.h"
#include "protocol/wire/gen/delete_topics.h"
#include "protocol/wire/gen/update_features.h"
#include "runtime/names.h"
#include "runtime/time.h"

// The active controller's decisions: brokers' registration and sessions, topics, elections, ISR changes, features,
// producer ids. It decides on
// its own image at once (ahead of the commit) and answers only when the records that an answer rests on are committed.
// A controller that isn't active answers NOT_CONTROLLER to everything.
namespace verdict::controller {

using Token = std::uint64_t;  // the shell's name for a request

// The request belongs to the caller and must live through step() only.
template <class Request>
struct Call {
  Token token = 0;
  int version = 0;  // of the request
  const Request& request;
};

namespace events_in {

using RegisterBroker = Call<wire::BrokerRegistrationRequest>;
using Heartbeat = Call<wire::BrokerHeartbeatRequest>;
using AlterPartition = Call<wire::AlterPartitionRequest>;
using DeleteTopics = Call<wire::DeleteTopicsRequest>;
using AllocateProducerIds = Call<wire::AllocateProducerIdsRequest>;
using UpdateFeatures = Call<wire::UpdateFeaturesRequest>;
struct CreateTopics {
  Token token = 0;
  int version = 0;
  const wire::CreateTopicsRequest& request;
  std::uint64_t random = 0;  // topic ids and placement are functions of it
};
struct Tick {};
// The quorum elected this node and all of the log was replayed: append from next_offset on.
struct BecameLeader {
  std::int32_t epoch = 0;
  Offset next_offset;
};
struct LostLeadership {};  // open requests are answered NOT_CONTROLLER; replay anew before leading again
struct Committed {
  Offset to;  // exclusive
};

}  // namespace events_in

using Response =
    std::variant<wire::Message<wire::BrokerRegistrationResponse>, wire::Message<wire::BrokerHeartbeatResponse>,
                 wire::Message<wire::AlterPartitionResponse>, wire::Message<wire::CreateTopicsResponse>,
                 wire::Message<wire::DeleteTopicsResponse>, wire::Message<wire::AllocateProducerIdsResponse>,
                 wire::Message<wire::UpdateFeaturesResponse>>;

namespace effects {

struct Append {  // one atomic batch, to the quorum; base is where it will be
  Offset base;
  std::vector<protocol::MetadataRecord> records;
};
struct Respond {
  Token token = 0;
  Response response;
};
struct ArmTimer {  // one timer: replaces the one before
  MonoTime when;
};
struct Log {  // for the log file
  bool warning = false;
  std::string text;
};

}  // namespace effects

using Effect = std::variant<effects::Append, effects::Respond, effects::ArmTimer, effects::Log>;
struct Effects {
  std::vector<Effect> list;  // to be done in order, before the next event
  std::vector<Mark> marks;   // for Runtime::mark
};

class Controller {
 public:
  struct Options {
    NodeId self;
    std::string cluster_id;
    protocol::BrokerConfig config;  // the controller's own server.properties
    DefectSet defects;
  };
  // `observer` may be null. Decisions are announced when committed; what was replayed from the log is announced again
  // (see Offset offset in the events) when this controller's first own commit comes.
  Controller(Options options, protocol::Observer* observer);
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Before BecameLeader: each record of the log in order, control records left out. An error: the log is damaged.
  std::expected<void, std::string> replay(const protocol::MetadataRecord&, Offset offset);

  void step(const events_in::RegisterBroker&, MonoTime now, Effects&);
  void step(const events_in::Heartbeat&, MonoTime now, Effects&);
  void step(const events_in::AlterPartition&, MonoTime now, Effects&);
  void step(const events_in::CreateTopics&, MonoTime now, Effects&);
  void step(const events_in::DeleteTopics&, MonoTime now, Effects&);
  void step(const events_in::AllocateProducerIds&, MonoTime now, Effects&);
  void step(const events_in::UpdateFeatures&, MonoTime now, Effects&);
  void step(const events_in::Tick&, MonoTime now, Effects&);
  void step(const events_in::BecameLeader&, MonoTime now, Effects&);
  void step(const events_in::LostLeadership&, MonoTime now, Effects&);
  void step(const events_in::Committed&, MonoTime now, Effects&);

  bool active() const;
  Offset next_offset() const;                    // where the next record goes
  const protocol::MetadataImage& image() const;  // ahead of the commit

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace verdict::controller
