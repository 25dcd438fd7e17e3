#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "protocol/client/admin.h"
#include "protocol/client/consumer.h"
#include "protocol/client/producer.h"
#include "runtime/asio/asio_runtime.h"
#include "runtime/io.h"
#include "tests/unit/client/fake_cluster.h"

// Clients and fake brokers on one real event loop over loopback.
namespace verdict::client::testing {

class Outcomes final : public DeliverySink {
 public:
  void delivered(std::uint64_t token, const DeliveryReport& report) override {
    EXPECT_TRUE(reports.emplace(token, report).second) << "two outcomes of record " << token;
  }
  void batch_sending(const BatchSent& batch) override {
    attempts[batch.id].push_back(batch.attempt);
    if (batch.renumbered) renumbered[batch.id] = batch.attempt;
  }
  void batch_finished(std::uint64_t id) override { EXPECT_TRUE(finished.insert({id, true}).second); }
  std::map<std::uint64_t, DeliveryReport> reports;
  std::map<std::uint64_t, std::vector<int>> attempts;
  std::map<std::uint64_t, int> renumbered;  // by batch: the attempt that had other sequences than the one before
  std::map<std::uint64_t, bool> finished;
};

class ClientTest : public ::testing::Test {
 protected:
  void start(int nodes = 1) { cluster = std::make_unique<FakeCluster>(runtime, "127.0.0.1", nodes); }
  void TearDown() override {
    if (cluster != nullptr) run(cluster->stop());
    cluster.reset();
  }

  // Runs a task to its end; a hang stops the process.
  void run(Task<void> task) {
    Scope scope(runtime);
    scope.spawn(std::move(task));
    const MonoTime end = runtime.now() + 60s;
    while (scope.size() != 0) {
      runtime.turn(1ms);
      VERDICT_ASSERT(runtime.now() < end, "the test hangs");
    }
  }
  template <class Done>
  bool run_until(Done done, Duration limit = 20s) {
    const MonoTime end = runtime.now() + limit;
    while (!done() && runtime.now() < end) runtime.turn(1ms);
    return done();
  }
  MonoTime in(Duration time) { return runtime.now() + time; }

  ClientOptions options() {
    ClientOptions client;
    client.bootstrap = cluster->endpoints();
    client.request_timeout = 2s;
    client.retry_backoff = 5ms;
    client.retry_backoff_max = 20ms;
    client.reconnect_backoff = 2ms;
    client.reconnect_backoff_max = 10ms;
    return client;
  }
  bool send(Producer& producer, const std::string& topic, std::int32_t partition, const std::string& value,
            std::uint64_t token) {
    ProducerRecord record;
    record.value = std::as_bytes(std::span(value.data(), value.size()));
    return producer.send(topic, partition, record, token);
  }
  static std::string text(const storage::NullableBytes& bytes) {
    return bytes ? std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size()) : "null";
  }
  // A batch as a producer or a leader writes it.
  static std::vector<std::byte> batch_of(const std::vector<std::string>& values, storage::BatchOptions how = {}) {
    storage::BatchBuilder builder(how);
    for (const std::string& value : values)
      builder.add(1, std::nullopt, std::as_bytes(std::span(value.data(), value.size())));
    storage::Compressor compressor;
    const auto bytes = builder.finish(compressor);
    return {bytes.begin(), bytes.end()};
  }

  AsioRuntime runtime{AsioOptions{.log_level = LogLevel::error, .seed = 1}};
  std::unique_ptr<FakeCluster> cluster;
};

// One producer that writes to topic "t".
class ProducingTest : public ClientTest {
 protected:
  void begin(const ProducerOptions& how, int nodes = 1, std::size_t partitions = 1) {
    start(nodes);
    cluster->add_topic("t", partitions);
    producer = std::make_unique<Producer>(runtime, options(), how, outcomes);
  }
  void TearDown() override {
    if (producer != nullptr) run(producer->close());
    producer.reset();
    ClientTest::TearDown();
  }
  bool settled(std::size_t records) {
    return run_until([&] { return outcomes.reports.size() == records; });
  }
  // What is in the partition's log.
  std::vector<std::string> values(std::size_t partition = 0) {
    std::vector<std::string> all;
    storage::Decompressor decompressor;
    for (const FakeBatch& batch : cluster->partition("t", partition).log) {
      const auto view = storage::BatchView::parse(batch.bytes);
      auto reader = storage::open_records(*view, decompressor);
      storage::RecordView record;
      while (reader && *reader->next(record)) all.push_back(text(record.value));
    }
    return all;
  }

  Outcomes outcomes;
  std::unique_ptr<Producer> producer;
};

}  // namespace verdict::client::testing
