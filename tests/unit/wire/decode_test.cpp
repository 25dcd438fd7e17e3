#include <gtest/gtest.h>

#include <array>
#include <string>

#include "protocol/wire/access.h"
#include "protocol/wire/codec.h"
#include "protocol/wire/gen/fetch.h"
#include "protocol/wire/gen/group_records.h"
#include "protocol/wire/gen/init_producer_id.h"
#include "protocol/wire/gen/join_group.h"
#include "protocol/wire/gen/metadata.h"
#include "protocol/wire/gen/metadata_records.h"
#include "protocol/wire/gen/produce.h"
#include "protocol/wire/registry.h"

namespace verdict::wire {
namespace {

template <class T>
Fault fault_of(std::string_view hex, int version) {
  Arena arena;
  T message;
  const std::vector<std::byte> bytes = from_hex(hex).value();
  const auto done = decode_exact(arena, bytes, version, message);
  EXPECT_FALSE(done) << hex;
  return done ? Fault::unknown_api : done.error().fault;
}

TEST(Decode, RejectsEachFaultByItsName) {
  // InitProducerIdRequest v2: transactionalId (compact, nullable), transactionTimeoutMs, tags.
  EXPECT_EQ(fault_of<InitProducerIdRequest>("00000000", 2), Fault::truncated);
  EXPECT_EQ(fault_of<InitProducerIdRequest>("05616263", 2), Fault::truncated);
  EXPECT_EQ(fault_of<InitProducerIdRequest>("ffffffffff01", 2), Fault::overlong_varint);
  EXPECT_EQ(fault_of<InitProducerIdRequest>("ffffffff1f", 2), Fault::overlong_varint);
  EXPECT_EQ(fault_of<InitProducerIdRequest>("000000003c00ff", 2), Fault::trailing_bytes);
  EXPECT_EQ(fault_of<InitProducerIdRequest>("000000003c020101aa0101aa", 2), Fault::unsorted_tag);
  EXPECT_EQ(fault_of<InitProducerIdRequest>("000000003c020201aa0101aa", 2), Fault::unsorted_tag);
  EXPECT_EQ(fault_of<InitProducerIdRequest>("fffe0000003c", 0), Fault::negative_length);
  EXPECT_EQ(fault_of<InitProducerIdRequest>("0000", -1), Fault::unsupported_version);
  EXPECT_EQ(fault_of<InitProducerIdRequest>("0000", 99), Fault::unsupported_version);
  // HeartbeatRequest-like non-nullable string in JoinGroupRequest v0.
  EXPECT_EQ(fault_of<JoinGroupRequest>("ffff", 2), Fault::null_not_allowed);
  EXPECT_EQ(fault_of<MetadataRequest>("fffffffe", 1), Fault::negative_length);
  EXPECT_EQ(fault_of<MetadataRequest>("ffffffff", 0), Fault::null_not_allowed);
  EXPECT_EQ(fault_of<MetadataRequest>("00000002000161", 0), Fault::truncated);
}

TEST(Decode, ATaggedFieldMustFillItsSize) {
  // BrokerRegistrationChangeRecord v0: brokerId, brokerEpoch, tags {0: fenced int8}.
  const std::string head = "000000010000000000000002";
  EXPECT_EQ(fault_of<BrokerRegistrationChangeRecord>(head + "01"
                                                            "00"
                                                            "02"
                                                            "0100",
                                                     0),
            Fault::tag_size);
  EXPECT_EQ(fault_of<BrokerRegistrationChangeRecord>(head + "01"
                                                            "00"
                                                            "00"
                                                            "01",
                                                     0),
            Fault::tag_size);
  EXPECT_EQ(fault_of<BrokerRegistrationChangeRecord>(head + "01"
                                                            "00"
                                                            "09"
                                                            "01",
                                                     0),
            Fault::truncated);
}

TEST(Decode, UnknownTaggedFieldsAreSkippedAndLost) {
  Arena arena;
  InitProducerIdRequest message;
  const auto bytes = from_hex(
                         "0261"
                         "0000003c"
                         "02"
                         "0503aabbcc"
                         "0700")
                         .value();
  ASSERT_TRUE(decode_exact(arena, bytes, 2, message));
  EXPECT_EQ(message.transactional_id, "a");
  EXPECT_EQ(to_hex(encode(message, 2).value()), "02610000003c00");
}

TEST(Decode, LengthsOfMoreBytesThanNeededAreTaken) {
  Arena arena;
  InitProducerIdRequest message;
  const auto bytes = from_hex(
                         "8280006100000000"
                         "00")
                         .value();
  ASSERT_TRUE(decode_exact(arena, bytes, 2, message));
  EXPECT_EQ(message.transactional_id, "a");
}

TEST(Decode, StringsPointIntoTheFrame) {
  Arena arena;
  InitProducerIdRequest message;
  const auto bytes = from_hex(
                         "026100000000"
                         "00")
                         .value();
  ASSERT_TRUE(decode_exact(arena, bytes, 2, message));
  EXPECT_EQ(static_cast<const void*>(message.transactional_id->data()), static_cast<const void*>(&bytes[1]));
  EXPECT_EQ(arena.reserved_bytes(), 0U);
}

TEST(Decode, StopsAtTheArenasLimit) {
  std::vector<std::byte> bytes = from_hex("00000100").value();
  bytes.resize(4 + 256 * 2);
  Arena arena(1024);
  MetadataRequest message;
  const auto used = decode(arena, bytes, 1, message);
  ASSERT_FALSE(used);
  EXPECT_EQ(used.error().fault, Fault::arena_limit);
  EXPECT_LE(arena.reserved_bytes(), 1024U);
}

TEST(Encode, RefusesWhatAVersionCannotCarry) {
  MetadataRequest request;
  request.include_topic_authorized_operations = true;  // from v8, not ignorable
  EXPECT_EQ(encode(request, 7).error().fault, Fault::unsupported_field);
  EXPECT_STREQ(encode(request, 7).error().field, "includeTopicAuthorizedOperations");
  EXPECT_TRUE(encode(request, 8));
  request = {};
  request.topics = std::nullopt;  // nullable from v1
  EXPECT_EQ(encode(request, 0).error().fault, Fault::null_not_allowed);
  EXPECT_TRUE(encode(request, 1));
  EXPECT_EQ(encode(request, 99).error().fault, Fault::unsupported_version);

  FetchRequest fetch;
  fetch.rack_id = "rack";  // from v11, ignorable
  EXPECT_EQ(encode(fetch, 4).value(), encode(FetchRequest{}, 4).value());

  const std::string longest(32767, 'x');
  const std::string longer(32768, 'x');
  InitProducerIdRequest init;
  init.transactional_id = longest;
  EXPECT_TRUE(encode(init, 4));
  init.transactional_id = longer;
  EXPECT_EQ(encode(init, 4).error().fault, Fault::string_too_long);
  EXPECT_EQ(encode(init, 0).error().fault, Fault::string_too_long);
}

TEST(Encode, SplicedRecordsLeaveAHole) {
  Arena arena;
  FetchResponse response;
  response.responses = arena.make_span<FetchResponse::FetchableTopicResponse>(1);
  response.responses[0].partitions = arena.make_span<FetchResponse::PartitionData>(2);
  response.responses[0].partitions[0].records = Records::spliced(7, 5);
  response.responses[0].partitions[1].records = Records::spliced(8, 300);
  const std::string five = "batch";
  const std::string many(300, 'y');
  for (int version = FetchResponse::lowest_version; version <= FetchResponse::highest_version; ++version) {
    std::vector<std::byte> holes;
    std::vector<Splice> splices;
    const EncodedSize size = encoded_size(response, version).value();
    EXPECT_EQ(size.spliced, 305U);
    holes.assign(3, std::byte{0});  // positions count from the buffer's front
    ASSERT_TRUE(append(holes, response, version, &splices));
    EXPECT_EQ(holes.size(), 3 + size.bytes);
    ASSERT_EQ(splices.size(), 2U);
    EXPECT_EQ(splices[0].index, 7);
    EXPECT_EQ(splices[1].index, 8);
    const std::array<std::string_view, 2> sources = {five, many};
    for (std::size_t i = 2; i-- > 0;) {
      EXPECT_EQ(splices[i].size, sources[i].size());
      const auto* first = reinterpret_cast<const std::byte*>(sources[i].data());
      holes.insert(holes.begin() + static_cast<std::ptrdiff_t>(splices[i].position), first, first + sources[i].size());
    }
    FetchResponse whole = deep_copy(arena, response);
    whole.responses[0].partitions[0].records = Records::of(std::as_bytes(std::span(five)));
    whole.responses[0].partitions[1].records = Records::of(std::as_bytes(std::span(many)));
    EXPECT_EQ(to_hex(holes), "000000" + to_hex(encode(whole, version).value()));
  }
}

// The table-driven parts reach nullable structs and spans of structs by their representation.
TEST(Tables, AgreeWithTheTypedMembers) {
  ConsumerGroupMemberMetadataValue value;
  EXPECT_TRUE(value.classic_member_metadata.has_value());
  value.classic_member_metadata = std::nullopt;
  EXPECT_NE(to_json(value, 0).find("\"classicMemberMetadata\":null"), std::string::npos);
  Arena arena;
  value.classic_member_metadata.emplace();
  value.classic_member_metadata->session_timeout_ms = 77;
  value.classic_member_metadata->supported_protocols =
      arena.make_span<ConsumerGroupMemberMetadataValue::ClassicProtocol>(2);
  value.classic_member_metadata->supported_protocols[1].name = "range";
  ConsumerGroupMemberMetadataValue back;
  const auto bytes = encode(value, 0).value();
  ASSERT_TRUE(decode_exact(arena, bytes, 0, back));
  ASSERT_TRUE(back.classic_member_metadata.has_value());
  EXPECT_EQ(back.classic_member_metadata->session_timeout_ms, 77);
  ASSERT_EQ(back.classic_member_metadata->supported_protocols.size(), 2U);
  EXPECT_EQ(back.classic_member_metadata->supported_protocols[1].name, "range");
  EXPECT_TRUE(back == value);
  value.classic_member_metadata->supported_protocols[1].name = "sticky";
  EXPECT_FALSE(back == value);

  PartitionChangeRecord change;
  EXPECT_FALSE(change.isr.has_value());
  change.isr = arena.make_span<std::int32_t>(2);
  (*change.isr)[1] = 5;
  EXPECT_NE(to_json(change, 0).find("\"isr\":[0,5]"), std::string::npos);
}

TEST(Copies, OwnWhatTheyPointTo) {
  Message<ProduceRequest> copy;
  {
    Arena arena;
    std::string topic = "orders";
    std::string batch = "bytes of a batch";
    ProduceRequest request;
    request.topic_data = arena.make_span<ProduceRequest::TopicProduceData>(1);
    request.topic_data[0].name = topic;
    request.topic_data[0].partition_data = arena.make_span<ProduceRequest::PartitionProduceData>(1);
    request.topic_data[0].partition_data[0].records = Records::of(std::as_bytes(std::span(batch)));
    copy = Message<ProduceRequest>::copy(request);
    EXPECT_TRUE(copy.value == request);
    topic = "overwritten";
    batch.assign(batch.size(), '-');
  }
  Message<ProduceRequest> moved = std::move(copy);
  EXPECT_EQ(moved->topic_data[0].name, "orders");
  const Bytes records = moved->topic_data[0].partition_data[0].records.bytes();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(records.data()), records.size()), "bytes of a batch");
}

TEST(Arenas, AreReusedAndKeepAddressesWhenMoved) {
  Arena arena;
  const std::string_view text = arena.copy(std::string_view("kept"));
  for (std::size_t n = 1; n < 200; ++n) {
    const auto span = arena.make_span<std::int64_t>(n);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(span.data()) % alignof(std::int64_t), 0U);
    EXPECT_EQ(span[n - 1], 0);
  }
  EXPECT_LE(arena.reserved_bytes(), 4 * arena.used_bytes() + 2048);
  Arena moved = std::move(arena);
  EXPECT_EQ(text, "kept");
  EXPECT_EQ(arena.used_bytes(), 0U);  // NOLINT: a moved-from arena is an empty one
  moved.reset();
  const std::size_t reserved = moved.reserved_bytes();
  (void)moved.make_span<std::byte>(reserved);
  EXPECT_EQ(moved.reserved_bytes(), reserved);
}

}  // namespace
}  // namespace verdict::wire
