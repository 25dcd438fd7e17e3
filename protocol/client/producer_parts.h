#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "protocol/client/producer.h"
#include "protocol/wire/arena.h"

// What a Producer is made of; for its own source files.
namespace verdict::client {

// Open (records are in the partition's builder), then sealed (bytes are here).
struct Producer::Batch {
  std::uint64_t id = 0;
  Partition* partition = nullptr;
  std::vector<std::byte> bytes;
  std::vector<std::uint64_t> tokens;
  std::size_t charged = 0;  // of the buffer
  std::uint32_t crc = 0;
  MonoTime created{};
  MonoTime not_before{};
  int attempts = 0;
  std::int32_t base_sequence = -1;  // -1: none yet
  bool renumbered = false;          // since it was sent last
  bool maybe_appended = false;
  ErrorCode last_error = ErrorCode::NONE;
};

struct Producer::Partition {
  std::string topic;
  std::int32_t index = 0;
  storage::BatchBuilder builder;
  BatchPtr open;
  std::deque<BatchPtr> sealed;             // by id
  std::map<std::uint64_t, NodeId> flying;  // the batches in flight, by id, and to whom
  bool active = false;
  std::uint64_t generation = ~std::uint64_t{0};  // of the metadata that the rest is from
  std::optional<Leader> leader;
  Uuid topic_id;
  std::uint64_t wants_generation = 0;  // of the metadata, after an error that newer one may cure
  // Of an idempotent producer; sequences are given in the order of the batches' ids.
  Identity identity;  // whose sequences these are
  std::int32_t next_sequence = 0;
  std::int32_t expected_sequence = 0;  // the first that the broker has not acknowledged
  bool gap = false;                    // a sequence is lost: all begins anew, in another epoch, when nothing flies
};

// One request: at most one batch of a partition, ordered by topic.
struct Producer::Request {
  NodeId node;
  std::vector<BatchPtr> batches;  // null once settled
  std::size_t bytes = 0;
  wire::Arena arena;
};

struct Producer::Node {
  int in_flight = 0;
  std::unique_ptr<Request> next;  // being collected
};

// The sequence behind `records` records that begin with `first`: after the largest number comes 0.
std::int32_t sequence_after(std::int32_t first, std::int64_t records);

}  // namespace verdict::client
