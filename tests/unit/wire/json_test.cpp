#include <gtest/gtest.h>

#include "protocol/wire/codec.h"
#include "protocol/wire/gen/alter_client_quotas.h"
#include "protocol/wire/gen/fetch.h"
#include "protocol/wire/gen/init_producer_id.h"
#include "protocol/wire/gen/metadata.h"
#include "protocol/wire/registry.h"

namespace verdict::wire {
namespace {

template <class T>
std::string complaint(std::string_view json, int version) {
  Arena arena;
  T message;
  const auto done = from_json(arena, json, version, message);
  return done ? "accepted" : done.error();
}

TEST(FromJson, SaysWhereAndWhat) {
  EXPECT_EQ(complaint<MetadataRequest>("{", 0), "not JSON at byte 2");
  EXPECT_EQ(complaint<MetadataRequest>("[]", 0), "message: must be an object");
  EXPECT_EQ(complaint<MetadataRequest>("{}", 0), "topics: is missing");
  EXPECT_EQ(complaint<MetadataRequest>(R"({"topics":null})", 0), "topics: must not be null in version 0");
  EXPECT_EQ(complaint<MetadataRequest>(R"({"topics":[{"name":"a"},{"name":1}]})", 0),
            "topics[1].name: must be a string");
  EXPECT_EQ(complaint<MetadataRequest>(R"({"topics":[{"name":"a","nmae":"b"}]})", 0),
            "topics[0].nmae: no such field in version 0");
  EXPECT_EQ(complaint<MetadataRequest>(R"({"topics":[],"allowAutoTopicCreation":true})", 0),
            "allowAutoTopicCreation: no such field in version 0");
  EXPECT_EQ(complaint<MetadataRequest>(R"({"topics":[],"allowAutoTopicCreation":1})", 4),
            "allowAutoTopicCreation: must be true or false");
  EXPECT_EQ(complaint<MetadataRequest>(R"({"topics":{}})", 0), "topics: must be an array");
  EXPECT_EQ(complaint<MetadataRequest>("{}", 99), "MetadataRequest has no version 99");
  EXPECT_EQ(complaint<InitProducerIdRequest>(R"({"transactionalId":null,"transactionTimeoutMs":2147483648})", 0),
            "transactionTimeoutMs: must be an integer from -2147483648 to 2147483647");
  EXPECT_EQ(complaint<InitProducerIdRequest>(R"({"transactionalId":null,"transactionTimeoutMs":1.5})", 0),
            "transactionTimeoutMs: must be an integer from -2147483648 to 2147483647");
  EXPECT_EQ(
      complaint<InitProducerIdRequest>(R"({"transactionalId":null,"transactionTimeoutMs":18446744073709551615})", 0),
      "transactionTimeoutMs: must be an integer from -2147483648 to 2147483647");
  EXPECT_EQ(complaint<InitProducerIdRequest>(R"({"transactionalId":null,"transactionTimeoutMs":1})", 0), "accepted");
}

TEST(ToJson, WritesWhatJsonCannotHoldInItsOwnWay) {
  Arena arena;
  InitProducerIdRequest request;
  request.transactional_id =
      "\xFF"
      "a\xC0\x80\xED\xA0\x80\x01\"\\";
  EXPECT_EQ(
      to_json(request, 0),
      "{\"transactionalId\":\"\xEF\xBF\xBD"
      "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\\u0001\\\"\\\\\",\"transactionTimeoutMs\":0}");

  AlterClientQuotasRequest quotas;
  quotas.entries = arena.make_span<AlterClientQuotasRequest::EntryData>(1);
  quotas.entries[0].ops = arena.make_span<AlterClientQuotasRequest::OpData>(1);
  quotas.entries[0].ops[0].value = -std::numeric_limits<double>::infinity();
  const std::string json = to_json(quotas, 0);
  EXPECT_NE(json.find("\"-Infinity\""), std::string::npos);
  AlterClientQuotasRequest back;
  ASSERT_TRUE(from_json(arena, json, 0, back));
  EXPECT_TRUE(back == quotas);
}

TEST(ToJson, GivesTheSizeOfSplicedRecords) {
  Arena arena;
  FetchResponse response;
  response.responses = arena.make_span<FetchResponse::FetchableTopicResponse>(1);
  response.responses[0].partitions = arena.make_span<FetchResponse::PartitionData>(1);
  response.responses[0].partitions[0].records = Records::spliced(0, 17);
  EXPECT_NE(to_json(response, 4).find("\"recordsSizeInBytes\":17"), std::string::npos);
}

TEST(Tools, TurnHexToJsonAndBack) {
  const MessageInfo& info = *find_message("InitProducerIdRequest");
  EXPECT_EQ(bytes_to_json(info, 0, from_hex("FFFF00000001").value()).value(),
            R"({"transactionalId":null,"transactionTimeoutMs":1})");
  EXPECT_EQ(bytes_to_json(info, 0, from_hex("ffff0000000100").value()).error(),
            "InitProducerIdRequest v0: 1 bytes follow the message");
  EXPECT_EQ(bytes_to_json(info, 0, from_hex("ffff").value()).error(),
            "InitProducerIdRequest v0: the bytes end too early (byte 2)");
  EXPECT_EQ(to_hex(json_to_bytes(info, 0, R"({"transactionalId":null,"transactionTimeoutMs":1})").value()),
            "ffff00000001");
  EXPECT_EQ(from_hex("abc").error(), "an odd number of hexadecimal digits");
  EXPECT_EQ(from_hex("ag").error(), "no hexadecimal digit at character 1");
}

}  // namespace
}  // namespace verdict::wire
