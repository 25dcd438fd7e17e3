#include "tests/unit/wire/golden.h"

#include <cctype>
#include <cstring>
#include <fstream>
#include <set>
#include <stdexcept>

#include "protocol/wire/reader.h"
#include "protocol/wire/table_codec.h"
#include "protocol/wire/writer.h"

namespace verdict::wire {
namespace {

const std::vector<Golden>& golden() {
  static const std::vector<Golden> kAll = load_golden();
  return kAll;
}

TEST(Golden, CoversEveryVersionOfEveryMessage) {
  std::set<std::pair<std::string_view, int>> seen;
  for (const Golden& frame : golden()) {
    seen.insert({frame.info->name, frame.version});
  }
  std::size_t versions = 0;
  for (const MessageInfo* info : all_messages()) {
    for (int v = info->lowest_version; v <= info->highest_version; ++v) {
      ++versions;
      EXPECT_TRUE(seen.contains({info->name, v})) << info->name << " v" << v;
    }
  }
  EXPECT_EQ(golden().size(), 2800U);
  EXPECT_EQ(versions, 700U);
  EXPECT_EQ(all_messages().size(), 274U);
}

TEST(Golden, DecodesAndEncodesToTheSameBytes) {
  for (const Golden& frame : golden()) {
    Arena arena;
    Object object(*frame.info);
    const auto used = decode(*frame.info, arena, frame.bytes, frame.version, object.get());
    ASSERT_TRUE(used) << frame.title() << "\n" << used.error().to_string();
    ASSERT_EQ(*used, frame.bytes.size()) << frame.title();
    std::vector<std::byte> out;
    const auto done = append(*frame.info, frame.version, object.get(), out, nullptr);
    ASSERT_TRUE(done) << frame.title() << "\n" << done.error().to_string();
    ASSERT_EQ(to_hex(out), to_hex(frame.bytes)) << frame.title();
  }
}

// The recorded values leave out some tagged fields that have their default: those are filled in from the declarations,
// which Kafka wrote, not from the tables under test.
using Json = nlohmann::json;

std::string json_name(const Json& field) {
  std::string name = field["name"];
  name[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(name[0])));
  return name;
}

const Json& fields_of(const Json& message, const Json& field) {
  if (field.contains("fields")) {
    return field["fields"];
  }
  const std::string type = field["type"];
  for (const Json& shared : message["structs"]) {
    if (type.ends_with(shared["name"].get<std::string>())) {
      return shared["fields"];
    }
  }
  throw std::runtime_error("no struct " + type);
}

Json default_of(const Json& message, const Json& field) {
  const std::string type = field["type"];
  const std::string text = !field.contains("default") || field["default"].is_null() ? ""
                           : field["default"].is_string() ? field["default"].get<std::string>()
                                                          : field["default"].dump();
  if (text == "null") {
    return nullptr;
  }
  if (type.starts_with("[]")) {
    return Json::array();
  }
  if (type == "uuid") {
    return "AAAAAAAAAAAAAAAAAAAAAA";
  }
  if (type == "string" || type == "bytes") {
    return text;
  }
  if (type == "bool") {
    return text == "true";
  }
  if (type.starts_with("int")) {
    return text.empty() ? std::int64_t{0} : std::stoll(text, nullptr, 0);
  }
  Json value = Json::object();
  for (const Json& inner : fields_of(message, field)) {
    value[json_name(inner)] = default_of(message, inner);
  }
  return value;
}

void fill_defaults(const Json& message, const Json& fields, int version, Json& value) {
  for (const Json& field : fields) {
    const std::string name = json_name(field);
    if (field.contains("tag") && std::stoi(field["taggedVersions"].get<std::string>()) <= version &&
        !value.contains(name)) {
      value[name] = default_of(message, field);
    }
    const std::string type = field["type"];
    if (!value.contains(name) || std::isupper(static_cast<unsigned char>(type[type.starts_with("[]") ? 2 : 0])) == 0) {
      continue;
    }
    if (value[name].is_object()) {
      fill_defaults(message, fields_of(message, field), version, value[name]);
    } else if (value[name].is_array()) {
      for (Json& item : value[name]) {
        fill_defaults(message, fields_of(message, field), version, item);
      }
    }
  }
}

TEST(Golden, DecodesToKafkasJson) {
  for (const Golden& frame : golden()) {
    const auto json = bytes_to_json(*frame.info, frame.version, frame.bytes);
    ASSERT_TRUE(json) << frame.title() << "\n" << json.error();
    nlohmann::json expected = frame.value;
    std::ifstream file(std::string(VERDICT_SOURCE_DIR) + "/protocol/wire/messages/" + std::string(frame.info->name) +
                       ".json");
    const Json declaration = Json::parse(file);
    fill_defaults(declaration, declaration["fields"], frame.version, expected);
    ASSERT_EQ(nlohmann::json::parse(*json), expected) << frame.title();
  }
}

TEST(Golden, EncodesFromKafkasJson) {
  for (const Golden& frame : golden()) {
    const auto bytes = json_to_bytes(*frame.info, frame.version, frame.value.dump());
    ASSERT_TRUE(bytes) << frame.title() << "\n" << bytes.error();
    ASSERT_EQ(to_hex(*bytes), to_hex(frame.bytes)) << frame.title();
  }
}

TEST(Golden, StraightCodeAndTablesAgree) {
  std::size_t straight = 0;
  for (const Golden& frame : golden()) {
    if (frame.info->straight.read == nullptr) {
      continue;
    }
    ++straight;
    Arena arena;
    Object by_code(*frame.info);
    Object by_table(*frame.info);
    ASSERT_TRUE(decode(*frame.info, arena, frame.bytes, frame.version, by_code.get())) << frame.title();
    std::memcpy(by_table.get(), frame.info->structure->defaults, frame.info->structure->size);
    Reader reader(frame.bytes);
    read_by_table(*frame.info, reader, arena, frame.version, by_table.get());
    ASSERT_TRUE(reader.ok()) << frame.title();
    ASSERT_EQ(reader.remaining(), 0U) << frame.title();
    ASSERT_TRUE(equal(*frame.info, by_code.get(), by_table.get())) << frame.title();
    Sizer sizer;
    size_by_table(*frame.info, sizer, frame.version, by_code.get());
    ASSERT_EQ(sizer.size().bytes, frame.bytes.size()) << frame.title();
    std::vector<std::byte> out(frame.bytes.size());
    Writer writer(out, nullptr);
    write_by_table(*frame.info, writer, frame.version, by_code.get());
    ASSERT_EQ(to_hex(out), to_hex(frame.bytes)) << frame.title();
  }
  EXPECT_GT(straight, 500U);
}

TEST(Golden, EveryTruncationIsRejectedWithinTheMemoryThatItJustifies) {
  for (const Golden& frame : golden()) {
    Object object(*frame.info);
    for (std::size_t size = 0; size < frame.bytes.size(); ++size) {
      // Its own allocation, so that the address sanitizer sees a read beyond it.
      const auto cut = std::make_unique_for_overwrite<std::byte[]>(size);
      std::copy_n(frame.bytes.begin(), size, cut.get());
      Arena arena;
      const auto used = decode(*frame.info, arena, Bytes(cut.get(), size), frame.version, object.get());
      ASSERT_FALSE(used) << frame.title() << "\ncut at " << size;
      ASSERT_LE(arena.used_bytes(), justified_bytes(*frame.info, frame.version, size))
          << frame.title() << "\ncut at " << size;
    }
  }
}

// A huge length in every place of a frame, in both forms.
TEST(Golden, HugeCountsTakeNoMemory) {
  const std::vector<std::byte> counts[] = {from_hex("7fffffff").value(), from_hex("ffffffff0f").value(),
                                           from_hex("80808004").value(), from_hex("80000000").value(),
                                           from_hex("ffffffff7f").value()};
  const Golden* previous = nullptr;
  for (const Golden& frame : golden()) {
    // One frame a version, that with arrays of one.
    const bool second = previous != nullptr && previous->info == frame.info && previous->version == frame.version;
    previous = second ? nullptr : &frame;
    if (!second) {
      continue;
    }
    for (const auto& count : counts) {
      for (std::size_t at = 0; at + count.size() <= frame.bytes.size(); ++at) {
        std::vector<std::byte> hostile = frame.bytes;
        std::copy(count.begin(), count.end(), hostile.begin() + static_cast<std::ptrdiff_t>(at));
        Arena arena;
        Object object(*frame.info);
        (void)decode(*frame.info, arena, hostile, frame.version, object.get());
        ASSERT_LE(arena.used_bytes(), justified_bytes(*frame.info, frame.version, hostile.size()))
            << frame.title() << "\nat " << at;
      }
    }
  }
}

}  // namespace
}  // namespace verdict::wire
