#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "protocol/client/admin.h"
#include "protocol/client/producer.h"
#include "runtime/scope.h"
#include "sim/cluster.h"
#include "tests/unit/sim/add_process.h"

namespace verdict::broker {

// What a writer writes, and where.
struct Writing {
  client::NewTopic topic;
  std::vector<std::string> values;  // a record each
  bool one_by_one = true;           // each sent when the one before it is acknowledged; else all at once
};

// A client machine that makes a topic and writes to its partition 0.
struct Writer final : sim::Process, client::DeliverySink {
  Writer(Runtime& runtime, Writing what)
      : writing(std::move(what)), admin(runtime, options()), producer(runtime, options(), {}, *this), scope(runtime) {
    scope.spawn(write(&runtime));
  }
  static client::ClientOptions options() {
    client::ClientOptions client;
    client.bootstrap = {{.host = "broker-1", .port = sim::kBrokerPort}};
    return client;
  }
  Task<void> write(Runtime* runtime) {
    const auto made = co_await admin.create_topic(writing.topic, runtime->now() + 20s);
    EXPECT_TRUE(made.has_value());
    for (std::uint64_t i = 0; i < writing.values.size(); ++i) {
      client::ProducerRecord record;
      record.value = std::as_bytes(std::span(writing.values[i]));
      EXPECT_TRUE(producer.send(writing.topic.name, 0, record, i));
      if (!writing.one_by_one) continue;
      const bool flushed = co_await producer.flush(runtime->now() + 30s);
      EXPECT_TRUE(flushed);
    }
    done = co_await producer.flush(runtime->now() + 30s);
  }
  void delivered(std::uint64_t, const client::DeliveryReport& report) override {
    acknowledged += report.delivery == client::Delivery::acknowledged ? 1 : 0;
  }

  Writing writing;
  client::Admin admin;
  client::Producer producer;
  std::uint64_t acknowledged = 0;
  bool done = false;
  Scope scope;
};

// A machine for it; `writer` is set when the machine starts.
inline sim::NodeIndex add_writer(sim::World& world, Writing writing, Writer*& writer) {
  return sim::testing::add_process(world, "client", writer, std::move(writing));
}

}  // namespace verdict::broker
