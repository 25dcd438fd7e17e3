#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "protocol/client/rpc.h"
#include "protocol/types.h"
#include "protocol/wire/errors.h"
#include "runtime/scope.h"
#include "runtime/signal.h"

namespace verdict::broker {

struct ListenerAddress {
  std::string name;  // "PLAINTEXT"
  Endpoint at;
};

struct LifecycleOptions {
  NodeId id = kNoNode;
  std::string cluster_id;
  Uuid incarnation;
  std::vector<ListenerAddress> advertised;
  std::vector<Uuid> directories;
  std::optional<std::string> rack;
  BrokerEpoch previous_epoch = kNoBrokerEpoch;  // from the clean-shutdown file; none: the stop was unclean
  Duration heartbeat_interval = 2s;             // broker.heartbeat.interval.ms
  Duration session_timeout = 9s;                // broker.session.timeout.ms
};

// A broker's registration with the controller and the heartbeats that keep it: registers (again and again, until the
// controller takes it: an older incarnation's session must end first), beats, asks to be unfenced, and to be let go.
// A heartbeat that is refused as STALE_BROKER_EPOCH says that another registration took this one's place: that of an
// earlier life which was long under way, for instance. Kafka beats on in vain until it is restarted; here the broker
// registers anew, as after an unclean stop, and has a new epoch from then on.
class Lifecycle {
 public:
  // metadata_end: the end of what this broker has applied of the metadata log.
  Lifecycle(Runtime& runtime, client::RpcChannel& controller, LifecycleOptions options,
            std::function<Offset()> metadata_end);
  Lifecycle(const Lifecycle&) = delete;
  Lifecycle& operator=(const Lifecycle&) = delete;

  void start();
  // Asks the controller to move leadership away and waits for its leave, at most until `deadline`. A controller that
  // isn't there (its connections are refused or end) or stays silent for a session is not waited for: nobody is left to
  // move anything. False: without its leave.
  Task<bool> controlled_shutdown(MonoTime deadline);
  Task<void> stop();

  BrokerEpoch epoch() const { return epoch_; }                  // kNoBrokerEpoch until registered
  bool registered() const { return epoch_ != kNoBrokerEpoch; }  // at some time: see displaced_
  bool fenced() const { return fenced_; }
  Signal& changed() { return changed_; }
  void beat_now() { wake_.notify(); }  // metadata caught up, or a stop is wanted

 private:
  Task<void> run();
  Task<bool> register_once();
  Task<bool> beat_once();
  void heard(const std::optional<client::RpcFault>& fault);
  MonoTime patience_ends() const;

  Runtime* runtime_;
  client::RpcChannel* controller_;
  LifecycleOptions options_;
  std::function<Offset()> metadata_end_;
  BrokerEpoch epoch_ = kNoBrokerEpoch;
  bool fenced_ = true;
  bool displaced_ = false;  // the controller knows this broker by another epoch, or not at all
  bool want_shut_down_ = false;
  bool let_go_ = false;
  MonoTime heard_at_{};                              // the controller's last answer to a heartbeat
  std::optional<MonoTime> gone_at_;                  // the first of the heartbeats since then that found nobody
  wire::ErrorCode refused_ = wire::ErrorCode::NONE;  // what the last registration was refused with
  bool stopping_ = false;
  Signal changed_;
  Signal wake_;
  Scope scope_;
};

}  // namespace verdict::broker
