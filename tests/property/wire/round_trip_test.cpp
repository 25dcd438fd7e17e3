#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>

#include "protocol/wire/base64.h"
#include "protocol/wire/gen/fetch.h"
#include "protocol/wire/random_message.h"
#include "protocol/wire/reader.h"
#include "protocol/wire/table_codec.h"
#include "protocol/wire/writer.h"
#include "tests/unit/wire/golden.h"

namespace verdict::wire {
namespace {

// SplitMix64.
struct Draws {
  std::uint64_t state;
  std::uint64_t operator()() {
    std::uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
};

struct Made {
  Arena arena;
  Object object;
  std::vector<std::byte> bytes;

  Made(const MessageInfo& info, int version, Draws& draws) : object(info) {
    random_message(info, arena, version, draws, object.get());
    const auto done = append(info, version, object.get(), bytes, nullptr);
    EXPECT_TRUE(done) << info.name << " v" << version << ": " << done.error().to_string();
  }
};

template <class Check>
void for_every_version(int rounds, const Check& check) {
  Draws draws{1};
  for (const MessageInfo* info : all_messages()) {
    for (int version = info->lowest_version; version <= info->highest_version; ++version) {
      for (int i = 0; i < rounds && !testing::Test::HasFatalFailure(); ++i) {
        check(*info, version, draws);
      }
    }
  }
}

TEST(RoundTrip, BytesAndJsonGiveTheSameValue) {
  for_every_version(20, [](const MessageInfo& info, int version, Draws& draws) {
    Made made(info, version, draws);
    Object decoded(info);
    const auto used = decode(info, made.arena, made.bytes, version, decoded.get());
    ASSERT_TRUE(used) << info.name << " v" << version << ": " << used.error().to_string();
    ASSERT_EQ(*used, made.bytes.size());
    ASSERT_TRUE(equal(info, made.object.get(), decoded.get()))
        << info.name << " v" << version << " " << to_hex(made.bytes);

    const std::string json = to_json(info, version, made.object.get());
    Object parsed(info);
    const auto read = from_json(info, made.arena, json, version, parsed.get());
    ASSERT_TRUE(read) << info.name << " v" << version << ": " << read.error() << "\n" << json;
    ASSERT_TRUE(equal(info, made.object.get(), parsed.get())) << info.name << " v" << version << "\n" << json;

    Arena other;
    deep_copy(info, other, decoded.get());
    std::ranges::fill(made.bytes, std::byte{0xAA});
    ASSERT_TRUE(equal(info, parsed.get(), decoded.get())) << info.name << " v" << version;
  });
}

TEST(RoundTrip, SameDrawsSameBytes) {
  for_every_version(1, [](const MessageInfo& info, int version, Draws& draws) {
    Draws again = draws;
    const Made first(info, version, draws);
    const Made second(info, version, again);
    ASSERT_EQ(to_hex(first.bytes), to_hex(second.bytes)) << info.name;
  });
}

// Random values reach what they claim to: otherwise the round trips prove little.
TEST(RoundTrip, RandomValuesAreVaried) {
  Draws draws{7};
  Arena arena;
  std::size_t null_records = 0;
  std::size_t tagged = 0;
  std::size_t partitions = 0;
  for (int i = 0; i < 200; ++i) {
    const auto response = random_message<FetchResponse>(arena, FetchResponse::highest_version, draws);
    tagged += response.node_endpoints.empty() ? 0 : 1;
    for (const auto& topic : response.responses) {
      for (const auto& partition : topic.partitions) {
        ++partitions;
        null_records += partition.records.null ? 1 : 0;
      }
    }
  }
  EXPECT_GT(partitions, 100U);
  EXPECT_GT(null_records, 20U);
  EXPECT_LT(null_records, partitions / 2);
  EXPECT_GT(tagged, 20U);
}

TEST(RoundTrip, StraightCodeAndTablesAgree) {
  for_every_version(20, [](const MessageInfo& info, int version, Draws& draws) {
    if (info.straight.read == nullptr) {
      return;
    }
    Made made(info, version, draws);
    Object by_table(info);
    std::memcpy(by_table.get(), info.structure->defaults, info.structure->size);
    Reader reader(made.bytes);
    read_by_table(info, reader, made.arena, version, by_table.get());
    ASSERT_TRUE(reader.ok() && reader.remaining() == 0) << info.name << " v" << version;
    ASSERT_TRUE(equal(info, made.object.get(), by_table.get())) << info.name << " v" << version;
    // Other versions: both refuse the same fields, or write the same bytes.
    for (int other = info.lowest_version; other <= info.highest_version; ++other) {
      Sizer by_code;
      Sizer by_rows;
      info.straight.size(by_code, other, made.object.get());
      size_by_table(info, by_rows, other, made.object.get());
      ASSERT_EQ(by_code.ok(), by_rows.ok()) << info.name << " v" << version << " as v" << other;
      if (!by_code.ok()) {
        ASSERT_EQ(by_code.error().fault, by_rows.error().fault) << info.name;
        continue;
      }
      ASSERT_EQ(by_code.size().bytes, by_rows.size().bytes) << info.name << " v" << version << " as v" << other;
      std::vector<std::byte> rows(by_rows.size().bytes);
      Writer writer(rows, nullptr);
      write_by_table(info, writer, other, made.object.get());
      std::vector<std::byte> code;
      ASSERT_TRUE(append(info, other, made.object.get(), code, nullptr));
      ASSERT_EQ(to_hex(code), to_hex(rows)) << info.name << " v" << version << " as v" << other;
    }
  });
}

// Flipped bytes: an error or a value, which then survives its own round trip; never more memory than justified.
// Straight code and tables give the same verdict.
TEST(Hostile, FlippedBytesNeverDoHarm) {
  for_every_version(40, [](const MessageInfo& info, int version, Draws& draws) {
    Made made(info, version, draws);
    if (made.bytes.empty()) {
      return;
    }
    const std::uint64_t flips = 1 + draws() % 4;
    for (std::uint64_t i = 0; i < flips; ++i) {
      const std::size_t at = draws() % made.bytes.size();
      made.bytes[at] ^= static_cast<std::byte>(1U << draws() % 8);
    }
    const auto frame = std::make_unique_for_overwrite<std::byte[]>(made.bytes.size());
    std::ranges::copy(made.bytes, frame.get());
    const Bytes body(frame.get(), made.bytes.size());
    Arena arena;
    Object decoded(info);
    const auto used = decode(info, arena, body, version, decoded.get());
    ASSERT_LE(arena.used_bytes(), justified_bytes(info, version, body.size())) << info.name << " " << to_hex(body);
    Arena other;
    Object by_table(info);
    std::memcpy(by_table.get(), info.structure->defaults, info.structure->size);
    Reader reader(body);
    read_by_table(info, reader, other, version, by_table.get());
    ASSERT_EQ(reader.ok(), used.has_value()) << info.name << " v" << version << " " << to_hex(body);
    if (!used) {
      ASSERT_EQ(reader.error().fault, used.error().fault) << info.name << " v" << version << " " << to_hex(body);
      return;
    }
    ASSERT_TRUE(equal(info, decoded.get(), by_table.get())) << info.name << " v" << version << " " << to_hex(body);
    (void)to_json(info, version, decoded.get());
    std::vector<std::byte> again;
    ASSERT_TRUE(append(info, version, decoded.get(), again, nullptr));
    Object twice(info);
    ASSERT_TRUE(decode(info, arena, again, version, twice.get()));
    ASSERT_TRUE(equal(info, decoded.get(), twice.get())) << info.name << " v" << version << " " << to_hex(body);
  });
}

RC_GTEST_PROP(Hostile, AnyBytesAsAnyMessage, (const std::vector<std::uint8_t>& noise, std::uint16_t pick)) {
  const MessageInfo& info = *all_messages()[pick % all_messages().size()];
  const Bytes body = std::as_bytes(std::span(noise));
  for (int version = info.lowest_version; version <= info.highest_version; ++version) {
    Arena arena;
    Object object(info);
    const auto used = decode(info, arena, body, version, object.get());
    RC_ASSERT(!used || *used <= body.size());
    RC_ASSERT(arena.used_bytes() <= justified_bytes(info, version, body.size()));
  }
}

RC_GTEST_PROP(Text, Base64MakesTheRound, (const std::vector<std::uint8_t>& raw)) {
  std::string text;
  append_base64(text, std::as_bytes(std::span(raw)));
  const auto back = parse_base64(text);
  RC_ASSERT(back.has_value());
  RC_ASSERT(std::ranges::equal(*back, std::as_bytes(std::span(raw))));
}

}  // namespace
}  // namespace verdict::wire
