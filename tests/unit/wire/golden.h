#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/wire/access.h"
#include "protocol/wire/codec.h"
#include "protocol/wire/registry.h"

namespace verdict::wire {

// One line of tests/data/wire/golden.jsonl.gz: a message that Apache Kafka 4.1's own classes encoded and read back.
struct Golden {
  const MessageInfo* info;
  int version;
  std::vector<std::byte> bytes;
  nlohmann::json value;

  std::string title() const {
    return std::string(info->name) + " v" + std::to_string(version) + " " + to_hex(bytes).substr(0, 200);
  }
};

inline std::string unzip(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  std::string text;
  char block[65536];
  for (int n = 0; file != nullptr && (n = gzread(file, block, sizeof block)) > 0;) {
    text.append(block, static_cast<std::size_t>(n));
  }
  gzclose(file);
  return text;
}

inline std::vector<Golden> load_golden() {
  const std::string text = unzip(std::string(VERDICT_SOURCE_DIR) + "/tests/data/wire/golden.jsonl.gz");
  std::vector<Golden> all;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const auto line = nlohmann::json::parse(std::string_view(text).substr(at, end - at));
    const MessageInfo* info = find_message(line["name"].get<std::string>());
    EXPECT_NE(info, nullptr) << line["name"];
    all.push_back({info, line["version"].get<int>(), from_hex(line["hex"].get<std::string>()).value(), line["value"]});
    at = end + 1;
  }
  return all;
}

// Storage for an object that is known by its description only.
class Object {
 public:
  explicit Object(const MessageInfo& info) : words_(info.structure->size / sizeof(std::max_align_t) + 1) {}
  void* get() { return words_.data(); }

 private:
  std::vector<std::max_align_t> words_;
};

struct Amplification {
  double ratio = 0;  // memory for a byte on the wire, the worst array element
  int depth = 0;     // of arrays within arrays
};

inline Amplification amplification(const StructInfo& info, int version) {
  Amplification worst;
  for (const FieldInfo& field : info.fields) {
    if (!has_version(field.versions, version)) {
      continue;
    }
    Amplification inner;
    if (field.structure != nullptr) {
      inner = amplification(*field.structure, version);
    }
    if (field.array) {
      const double own =
          static_cast<double>(element_layout(field).size) / static_cast<double>(least_element_bytes(field, version));
      inner = {std::max(own, inner.ratio), inner.depth + 1};
    }
    worst = {std::max(worst.ratio, inner.ratio), std::max(worst.depth, inner.depth)};
  }
  return worst;
}

// What decoding `size` bytes may take from the arena: each level of arrays is paid for by bytes that are there; an
// allocation may be padded to a word, and each costs at least one byte on the wire.
inline std::size_t justified_bytes(const MessageInfo& info, int version, std::size_t size) {
  const Amplification worst = amplification(*info.structure, version);
  return static_cast<std::size_t>((worst.ratio * worst.depth + 8) * static_cast<double>(size));
}

}  // namespace verdict::wire
