#include "protocol/wire/framing.h"

#include <gtest/gtest.h>

#include <set>

#include "protocol/wire/errors.h"
#include "protocol/wire/gen/api_versions.h"
#include "protocol/wire/gen/fetch.h"
#include "protocol/wire/gen/metadata.h"
#include "protocol/wire/gen/produce.h"
#include "protocol/wire/registry.h"

namespace verdict::wire {
namespace {

TEST(Framing, HeaderVersionsAreKafkas) {
  EXPECT_EQ(request_header_version(ApiKey::ApiVersions, 0), 1);
  EXPECT_EQ(request_header_version(ApiKey::ApiVersions, 3), 2);
  EXPECT_EQ(request_header_version(ApiKey::ApiVersions, 77), 2);
  EXPECT_EQ(response_header_version(ApiKey::ApiVersions, 4), 0);
  EXPECT_EQ(request_header_version(ApiKey::Produce, 8), 1);
  EXPECT_EQ(request_header_version(ApiKey::Produce, 9), 2);
  EXPECT_EQ(response_header_version(ApiKey::Produce, 8), 0);
  EXPECT_EQ(response_header_version(ApiKey::Produce, 9), 1);
  EXPECT_EQ(request_header_version(ApiKey::SaslHandshake, 1), 1);
  EXPECT_EQ(response_header_version(ApiKey::SaslHandshake, 1), 0);
  EXPECT_EQ(request_header_version(ApiKey::OffsetDelete, 0), 1);
  EXPECT_EQ(response_header_version(ApiKey::OffsetDelete, 0), 0);
}

TEST(Framing, RequestsMakeTheRoundAtEveryVersion) {
  Arena arena;
  MetadataRequest body;
  body.topics = arena.make_span<MetadataRequest::MetadataRequestTopic>(1);
  (*body.topics)[0].name = "orders";
  for (int version = 0; version <= MetadataRequest::highest_version; ++version) {
    std::vector<std::byte> frame = encode_request(version, 42, "me", body).value();
    EXPECT_EQ(read_size_prefix(std::span(frame).first<4>()), static_cast<std::int32_t>(frame.size() - 4));
    frame.erase(frame.begin(), frame.begin() + 4);
    for (std::size_t size = 0; size < 14; ++size) {
      EXPECT_FALSE(parse_request_header(Bytes(frame).first(std::min(size, std::size_t{11}))));
    }
    const auto header = parse_request_header(frame);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->api, ApiKey::Metadata);
    EXPECT_EQ(header->version, version);
    EXPECT_TRUE(header->version_known);
    EXPECT_EQ(header->header.correlation_id, 42);
    EXPECT_EQ(header->header.client_id, "me");
    const auto back = decode_request<MetadataRequest>(frame, *header);
    ASSERT_TRUE(back) << back.error().to_string();
    EXPECT_TRUE(back->value == body);
  }
}

TEST(Framing, ResponsesMakeTheRoundAtEveryVersion) {
  Arena arena;
  ProduceResponse body;
  body.responses = arena.make_span<ProduceResponse::TopicProduceResponse>(1);
  body.responses[0].partition_responses = arena.make_span<ProduceResponse::PartitionProduceResponse>(1);
  body.responses[0].partition_responses[0].error_code = code(ErrorCode::NOT_LEADER_OR_FOLLOWER);
  for (int version = ProduceResponse::lowest_version; version <= ProduceResponse::highest_version; ++version) {
    std::vector<std::byte> frame = encode_response(version, -7, body).value();
    frame.erase(frame.begin(), frame.begin() + 4);
    std::int32_t correlation_id = 0;
    const auto back = decode_response<ProduceResponse>(version, frame, &correlation_id);
    ASSERT_TRUE(back) << back.error().to_string();
    EXPECT_EQ(correlation_id, -7);
    EXPECT_TRUE(back->value == body);
    frame.push_back(std::byte{0});
    EXPECT_EQ(decode_response<ProduceResponse>(version, frame).error().fault, Fault::trailing_bytes);
  }
}

TEST(Framing, AFramesSizeCountsSplices) {
  Arena arena;
  FetchResponse body;
  body.responses = arena.make_span<FetchResponse::FetchableTopicResponse>(1);
  body.responses[0].partitions = arena.make_span<FetchResponse::PartitionData>(1);
  body.responses[0].partitions[0].records = Records::spliced(0, 1000);
  std::vector<Splice> splices;
  const auto frame = encode_response(12, 1, body, &splices).value();
  EXPECT_EQ(read_size_prefix(std::span(frame).first<4>()), static_cast<std::int32_t>(frame.size() - 4 + 1000));
  ASSERT_EQ(splices.size(), 1U);
  // After the records: the tags of partition, topic and response, a byte each.
  EXPECT_EQ(splices[0].position, frame.size() - 3);
}

TEST(Framing, StrangeRequestsAreToldApart) {
  const auto unknown_frame = from_hex("270f000000000001ffff").value();
  const auto unknown = parse_request_header(unknown_frame);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().fault, Fault::unknown_api);
  const auto future_frame = from_hex(
                                "00120063000000050003"
                                "6162630000")
                                .value();
  const auto future = parse_request_header(future_frame);
  ASSERT_TRUE(future);
  EXPECT_EQ(future->api, ApiKey::ApiVersions);
  EXPECT_FALSE(future->version_known);
  EXPECT_EQ(future->header.correlation_id, 5);
  EXPECT_EQ(future->header.client_id, "abc");
  EXPECT_FALSE(parse_request_header(Bytes{}));
}

TEST(Keys, HaveNames) {
  EXPECT_EQ(to_string(ApiKey::Produce), "Produce");
  EXPECT_EQ(to_string(static_cast<ApiKey>(999)), "unknown");
  EXPECT_EQ(find_api_key("OffsetForLeaderEpoch"), ApiKey::OffsetForLeaderEpoch);
  EXPECT_EQ(static_cast<int>(ApiKey::OffsetForLeaderEpoch), 23);
  EXPECT_FALSE(find_api_key("FetchRequest"));
  EXPECT_EQ(known_versions(ApiKey::Fetch).lowest, 4);
  EXPECT_EQ(known_versions(ApiKey::Fetch).highest, 18);
  EXPECT_GT(known_versions(ApiKey::LeaderAndIsr).lowest, known_versions(ApiKey::LeaderAndIsr).highest);
}

TEST(Registry, FindsByNameAndKey) {
  for (const MessageInfo* info : all_messages()) {
    EXPECT_EQ(find_message(info->name), info);
    if (info->kind == MessageKind::request) {
      EXPECT_EQ(find_request(info->api_key), info);
      const MessageInfo* response = find_response(info->api_key);
      ASSERT_NE(response, nullptr) << info->name;
      EXPECT_EQ(response->highest_version, info->highest_version) << info->name;
      EXPECT_EQ(response->first_flexible_version, info->first_flexible_version) << info->name;
    }
  }
  EXPECT_EQ(find_message("Fetch"), nullptr);
  EXPECT_EQ(find_request(-1), nullptr);
  EXPECT_EQ(find_request(93), nullptr);
  EXPECT_EQ(find_metadata_record(5)->name, "PartitionChangeRecord");
  EXPECT_EQ(find_metadata_record(6), nullptr);
}

TEST(Errors, AreKafkas) {
  EXPECT_EQ(code(ErrorCode::UNKNOWN_SERVER_ERROR), -1);
  EXPECT_EQ(code(ErrorCode::NONE), 0);
  EXPECT_EQ(code(ErrorCode::NOT_LEADER_OR_FOLLOWER), 6);
  EXPECT_EQ(code(ErrorCode::FENCED_LEADER_EPOCH), 74);
  EXPECT_EQ(code(ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE), 83);
  EXPECT_EQ(code(ErrorCode::INELIGIBLE_REPLICA), 107);
  EXPECT_EQ(code(ErrorCode::SHARE_SESSION_LIMIT_REACHED), 133);
  EXPECT_EQ(to_string(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND), "NOT_ENOUGH_REPLICAS_AFTER_APPEND");
  EXPECT_EQ(find_error("CORRUPT_MESSAGE"), ErrorCode::CORRUPT_MESSAGE);
  EXPECT_FALSE(find_error("NO_SUCH_ERROR"));
  EXPECT_EQ(error_from_code(3), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
  EXPECT_EQ(error_from_code(-2), ErrorCode::UNKNOWN_SERVER_ERROR);
  EXPECT_EQ(error_from_code(32767), ErrorCode::UNKNOWN_SERVER_ERROR);
  EXPECT_TRUE(is_retriable(ErrorCode::NOT_ENOUGH_REPLICAS));
  EXPECT_FALSE(is_retriable(ErrorCode::OFFSET_OUT_OF_RANGE));
}

}  // namespace
}  // namespace verdict::wire
