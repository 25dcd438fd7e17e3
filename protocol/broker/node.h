#pragma once

#include <expected>
#include <memory>
#include <string>

#include "protocol/broker/broker_node.h"
#include "protocol/broker/controller_node.h"
#include "protocol/config_keys.h"
#include "protocol/events.h"
#include "runtime/runtime.h"
#include "storage/log_directory.h"

namespace verdict::broker {

// One node as a value: what a server.properties describes, on one runtime. Real and simulated nodes are this class.
//
// start() then run until stop(); destroying it without stop() is a crash and only right after the runtime died.
class Node {
 public:
  Node(Runtime& runtime, protocol::BrokerConfig config, protocol::Observer* observer);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Refuses a directory that was not formatted, or for another node. The error is one line.
  Task<std::expected<void, std::string>> start();
  // Controlled shutdown; leaves the clean-shutdown file if everything was closed.
  Task<void> stop();

  BrokerNode* broker() { return broker_.get(); }              // null: not in this role
  ControllerNode* controller() { return controller_.get(); }  // null: not in this role
  const protocol::BrokerConfig& config() const { return config_; }

 private:
  Task<std::expected<void, std::string>> open_directory();

  Runtime* runtime_;
  protocol::BrokerConfig config_;
  protocol::Observer* observer_;
  std::unique_ptr<storage::LogDirectory> directory_;
  std::unique_ptr<ControllerNode> controller_;
  std::unique_ptr<BrokerNode> broker_;
};

// `storage format`: makes the log directory of a node and names its cluster. An existing directory of the same cluster
// and node is left as it is (again: false). The error is one line.
std::expected<bool, std::string> format_directory(Runtime& runtime, const protocol::BrokerConfig& config,
                                                  const std::string& cluster_id);

}  // namespace verdict::broker
