#include "protocol/broker/node.h"

#include <fmt/format.h>

namespace verdict::broker {
namespace {

std::expected<std::string, std::string> only_directory(const protocol::BrokerConfig& config) {
  const std::vector<std::string> directories = config.log_dirs();
  if (directories.size() != 1) {
    return std::unexpected(
        fmt::format("log.dirs names {} directories; this version keeps all logs in one", directories.size()));
  }
  return directories.front();
}

}  // namespace

Node::Node(Runtime& runtime, protocol::BrokerConfig config, protocol::Observer* observer)
    : runtime_(&runtime), config_(std::move(config)), observer_(observer) {}

Task<std::expected<void, std::string>> Node::open_directory() {
  const auto path = only_directory(config_);
  if (!path) co_return std::unexpected(path.error());
  if (!runtime_->disk().status(*path + "/" + std::string(storage::kMetaPropertiesFile))) {
    co_return std::unexpected(
        fmt::format("log directory {} is not formatted: run `verdict storage format` first", *path));
  }
  auto opened = storage::LogDirectory::open(*runtime_, *path);
  if (!opened) co_return std::unexpected(opened.error().message);
  directory_ = std::move(*opened);
  if (!directory_->meta())
    co_return std::unexpected(fmt::format("log directory {} has no readable meta.properties", *path));
  if (directory_->meta()->node_id != config_.node_id().value()) {
    co_return std::unexpected(
        fmt::format("log directory {} belongs to node {} (meta.properties), this is node {} (node.id)", *path,
                    directory_->meta()->node_id, config_.node_id().value()));
  }
  co_return std::expected<void, std::string>();
}

Task<std::expected<void, std::string>> Node::start() {
  auto opened = co_await open_directory();
  if (!opened) co_return opened;
  const std::vector<protocol::VoterAddress> voters = config_.quorum_voters();
  if (voters.size() != 1) {
    co_return std::unexpected(
        fmt::format("controller.quorum.voters names {} voters; this version has a quorum of one", voters.size()));
  }
  const std::string cluster_id = directory_->meta()->cluster_id;
  Endpoint controller_at{.host = voters.front().host, .port = voters.front().port};
  if (config_.is_controller()) {
    controller_ = std::make_unique<ControllerNode>(*runtime_, config_, *directory_, cluster_id, observer_);
    auto started = co_await controller_->start();
    if (!started) co_return started;
    if (controller_at.port == 0) controller_at.port = controller_->local().port;
  }
  if (config_.is_broker()) {
    broker_ = std::make_unique<BrokerNode>(*runtime_, config_, *directory_, cluster_id, controller_at, observer_);
    auto started = co_await broker_->start();
    if (!started) co_return started;
  }
  co_return std::expected<void, std::string>();
}

Task<void> Node::stop() {
  BrokerNode::Stopped stopped{.clean = true, .epoch = kNoBrokerEpoch};
  if (broker_ != nullptr) stopped = co_await broker_->stop();
  bool controller_closed = true;
  if (controller_ != nullptr) controller_closed = co_await controller_->stop();
  if (stopped.clean && controller_closed && directory_ != nullptr) {
    if (const auto written = directory_->write_clean_shutdown(stopped.epoch.value()); !written) {
      runtime_->log(LogLevel::error, "Node", written.error().message);
    }
  }
}

std::expected<bool, std::string> format_directory(Runtime& runtime, const protocol::BrokerConfig& config,
                                                  const std::string& cluster_id) {
  const auto path = only_directory(config);
  if (!path) return std::unexpected(path.error());
  auto directory = storage::LogDirectory::open(runtime, *path);
  if (!directory) return std::unexpected(directory.error().message);
  if ((*directory)->meta()) {
    const storage::MetaProperties& there = *(*directory)->meta();
    if (there.cluster_id == cluster_id && there.node_id == config.node_id().value()) return false;
    return std::unexpected(fmt::format("log directory {} is formatted already: cluster {}, node {}", *path,
                                       there.cluster_id, there.node_id));
  }
  Uuid id;
  id.high = runtime.random(Purpose::DirectoryId, 0);
  id.low = runtime.random(Purpose::DirectoryId, 0);
  if (const auto written =
          (*directory)->write_meta({.cluster_id = cluster_id, .node_id = config.node_id().value(), .directory_id = id});
      !written) {
    return std::unexpected(written.error().message);
  }
  return true;
}

}  // namespace verdict::broker
