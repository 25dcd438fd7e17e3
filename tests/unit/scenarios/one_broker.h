#pragma once

#include "protocol/client/admin.h"
#include "runtime/scope.h"
#include "sim/cluster.h"

namespace verdict::client {

// Of a client of the one broker of a simulated cluster.
inline ClientOptions one_brokers_client() {
  ClientOptions client;
  client.bootstrap = {{.host = "broker-1", .port = sim::kBrokerPort}};
  client.request_timeout = 1s;
  client.retry_backoff = 10ms;
  client.retry_backoff_max = 50ms;
  return client;
}

// Topic "t", as soon as that can be.
template <class Machine>
Task<void> create_topic(Machine* m, std::int32_t partitions) {
  NewTopic topic;
  topic.name = "t";
  topic.partitions = partitions;
  topic.replication_factor = 1;
  for (bool made = false; !made;) {
    const auto created = co_await m->admin.create_topic(topic, m->runtime.now() + 5s);
    made = created.has_value();
  }
  m->done = true;
}

}  // namespace verdict::client
