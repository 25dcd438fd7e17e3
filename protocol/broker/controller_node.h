#pragma once

#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/broker/exchange.h"
#include "protocol/broker/server.h"
#include "protocol/config_keys.h"
#include "protocol/controller/controller.h"
#include "protocol/quorum/single_voter.h"
#include "storage/log.h"
#include "storage/log_directory.h"

namespace verdict::broker {

// The controller role of a node: the quorum's log on disk, the quorum and controller machines, and the listener that
// brokers talk to. An answer leaves only when what it says is committed.
class ControllerNode {
 public:
  ControllerNode(Runtime& runtime, const protocol::BrokerConfig& config, storage::LogDirectory& directory,
                 std::string cluster_id, protocol::Observer* observer);
  ControllerNode(const ControllerNode&) = delete;
  ControllerNode& operator=(const ControllerNode&) = delete;

  Task<std::expected<void, std::string>> start();  // returns when it listens; it leads soon after
  Task<bool> stop();                               // false: its log could not be closed
  Endpoint local() const { return server_->local(); }

 private:
  void dispatch(ExchangePtr exchange);
  void halt(std::string_view reason);
  void step_quorum(quorum::Input input);
  template <class Event>
  void step_controller(const Event& event);
  template <class Request>
  void ask_controller(const ExchangePtr& exchange);
  void run_controller_effects(controller::Effects effects);
  void run(quorum::effects::PersistState effect);
  void run(quorum::effects::Persist effect);
  void run(const quorum::effects::Committed& effect);
  void run(const quorum::effects::BecameLeader& effect);
  void run(quorum::effects::AnswerFetch effect);
  void run(const quorum::effects::ArmTimer& effect);
  Task<void> persist_state(quorum::Token token, std::string json);
  Task<void> sync_task();
  Task<void> quorum_timer();
  Task<void> controller_timer();
  Task<void> take_leadership(Offset next_offset, quorum::QuorumEpoch epoch);
  Task<bool> replay(Offset to);
  Task<void> answer_fetch(quorum::effects::AnswerFetch effect, ExchangePtr exchange);
  void fetch(const ExchangePtr& exchange);
  void api_versions(const ExchangePtr& exchange);
  Task<std::expected<std::optional<quorum::QuorumState>, std::string>> load_state();

  Runtime* runtime_;
  const protocol::BrokerConfig* config_;
  storage::LogDirectory* directory_;
  std::string cluster_id_;
  storage::FileCache files_;
  storage::Decompressor decompressor_;
  storage::Compressor compressor_;
  std::unique_ptr<storage::Log> log_;
  quorum::SingleVoter quorum_;
  controller::Controller controller_;
  std::unique_ptr<Server> server_;
  std::map<std::uint64_t, ExchangePtr> waiting_;  // by token: unanswered requests
  std::uint64_t next_token_ = 1;
  std::vector<quorum::Token> unsynced_;
  std::optional<MonoTime> quorum_alarm_;
  std::optional<MonoTime> controller_alarm_;
  bool replayed_ = false;
  Offset committed_{0};
  bool stopping_ = false;
  bool halted_ = false;  // its log or state can't be written: the machines are ahead of the disk, and step no more
  Signal sync_wanted_;
  Signal quorum_wake_;
  Signal controller_wake_;
  Scope scope_;
};

}  // namespace verdict::broker
