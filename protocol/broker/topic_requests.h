#pragma once

#include <set>
#include <string>

#include "protocol/broker/context.h"
#include "protocol/broker/server.h"
#include "runtime/scope.h"

namespace verdict::broker {

// CreateTopics and DeleteTopics go to the controller under the client's own request; topics that clients merely ask for
// are created with the defaults (auto.create.topics.enable), and internal ones with their own settings, each once at a
// time.
class TopicRequests {
 public:
  explicit TopicRequests(BrokerContext& context) : context_(&context), scope_(context.runtime) {}
  TopicRequests(const TopicRequests&) = delete;
  TopicRequests& operator=(const TopicRequests&) = delete;

  void create(const ExchangePtr& exchange);
  void remove(const ExchangePtr& exchange);
  // What Metadata says of an unknown topic in the meantime.
  ErrorCode auto_create(std::string_view topic);
  Task<void> stop() { return scope_.join(); }

 private:
  Task<void> create_by_default(std::string topic);

  BrokerContext* context_;
  std::set<std::string, std::less<>> creating_;
  Scope scope_;
};

}  // namespace verdict::broker
