#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "protocol/client/connections.h"
#include "protocol/frame_reader.h"
#include "protocol/wire/errors.h"
#include "protocol/wire/framing.h"
#include "protocol/wire/gen/fetch.h"
#include "protocol/wire/gen/produce.h"
#include "runtime/scope.h"
#include "storage/batch_builder.h"

// Brokers that keep batches in memory and do what a test tells them: the far end of client tests, over any runtime.
// They share one truth and answer in it; each test bends it by hooks.
namespace verdict::client::testing {

using wire::ErrorCode;

struct FakeBatch {
  Offset base;
  LeaderEpoch epoch;
  std::vector<std::byte> bytes;
};

// What a partition knows of an idempotent producer.
struct FakeProducer {
  std::int16_t epoch = -1;
  std::int32_t next = 0;                                             // sequence
  std::vector<std::tuple<std::int32_t, std::int32_t, Offset>> last;  // first sequence, count, base: of 5 batches
};

struct FakePartition {
  int leader = 0;  // node
  LeaderEpoch epoch{1};
  Offset start{0};
  std::vector<FakeBatch> log;
  std::vector<wire::FetchResponse::AbortedTransaction> aborted;
  std::map<std::int64_t, FakeProducer> producers;
  Offset end() const;
  void append(std::span<const std::byte> batch);
  // As brokers check it: NONE, and `base` of the batch as it was appended before; or none, and it is to be appended.
  ErrorCode check_sequence(const storage::BatchHeader& batch, std::optional<Offset>& base);
};

struct FakeTopic {
  Uuid id;
  std::vector<FakePartition> partitions;
};

// What to do with a request before it is looked at.
enum class Verdict : std::uint8_t {
  serve,
  drop_before,  // close without doing it
  drop_after,   // do it, then close
  ignore,       // never answer
  garbage,      // answer random bytes in a frame
  wrong_id,     // answer with another correlation id
};

class FakeCluster {
 public:
  FakeCluster(Runtime& runtime, const std::string& host, int nodes);
  ~FakeCluster();
  Task<void> stop();

  std::vector<Endpoint> endpoints() const;
  FakeTopic& add_topic(const std::string& name, std::size_t partitions);
  FakePartition& partition(const std::string& name, std::size_t index = 0) {
    return topics.at(name).partitions.at(index);
  }
  void close_listener(int node);

  std::map<std::string, FakeTopic> topics;
  std::map<wire::ApiKey, wire::VersionRange> served;  // as advertised; ApiVersions above its range gets 35
  // Hooks; absent: serve.
  std::function<Verdict(int node, wire::ApiKey api)> on_request;
  std::function<ErrorCode(int node, const std::string& topic, int partition)> on_produce;  // instead of an append
  std::function<ErrorCode(int node)> on_init_producer;
  std::function<ErrorCode(int node, const wire::FetchRequest&)> on_fetch;  // of the whole answer
  std::function<void(const wire::FetchRequest&, int version)> saw_fetch;
  std::vector<std::pair<int, wire::ApiKey>> requests;  // by arrival
  std::map<wire::ApiKey, int> versions;                // of the last request
  Duration answer_delay{};                             // of Produce
  bool session_support = true;
  std::int64_t next_producer_id = 1000;
  int produces_waiting = 0;
  int most_produces_waiting = 0;

 private:
  struct Node;
  struct Link;
  struct Session {
    std::int32_t epoch = 0;
    std::map<std::pair<std::string, int>, wire::FetchRequest::FetchPartition> partitions;
  };
  using Answer = std::optional<std::vector<std::byte>>;  // empty bytes: the connection is closed
  Task<void> accept_task(int node);
  Task<void> serve_task(std::shared_ptr<Link> link);
  Task<void> produce_task(std::shared_ptr<Link> link, std::vector<std::byte> answer);
  Task<void> write(std::shared_ptr<Link> link, std::vector<std::byte> frame);
  Answer answer(int node, const wire::ParsedHeader& header, const std::vector<std::byte>& frame, Duration& wait);
  template <class Request>
  bool decode(const wire::ParsedHeader& header, const std::vector<std::byte>& frame, Request& into);

  std::vector<std::byte> api_versions(const wire::ParsedHeader& header);
  std::vector<std::byte> metadata(const wire::ParsedHeader& header, const std::vector<std::byte>& frame);
  std::vector<std::byte> init_producer_id(int node, const wire::ParsedHeader& header);
  Answer produce(int node, const wire::ParsedHeader& header, const std::vector<std::byte>& frame);
  std::vector<std::byte> fetch(int node, const wire::ParsedHeader& header, const std::vector<std::byte>& frame,
                               Duration& wait);
  void remember_wishes(Session& session, const wire::FetchRequest& request);
  wire::FetchResponse::PartitionData partition_data(int node, FakeTopic* topic,
                                                    const wire::FetchRequest::FetchPartition& asked, wire::Arena& arena,
                                                    std::vector<std::byte>& records);
  std::vector<std::byte> list_offsets(int node, const wire::ParsedHeader& header, const std::vector<std::byte>& frame);
  std::vector<std::byte> epochs(int node, const wire::ParsedHeader& header, const std::vector<std::byte>& frame);
  FakeTopic* find(std::string_view name, const Uuid& id);
  ErrorCode check(int node, const FakeTopic* topic, int partition, std::int32_t epoch) const;

  Runtime& runtime_;
  std::string host_;
  wire::Arena arena_;  // of the request at hand
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<std::int32_t, Session> sessions_;
  std::int32_t next_session_ = 1;
  bool stopping_ = false;
  Scope scope_;
};

}  // namespace verdict::client::testing
