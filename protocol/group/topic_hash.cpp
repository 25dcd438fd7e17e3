#include "protocol/group/topic_hash.h"

#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace verdict::group {
namespace {

constexpr std::uint8_t kMagic = 0;

// Numbers with their lowest byte first, text as UTF-16 and then its length: hash4j's stream.
class Bytes {
 public:
  void put8(std::uint8_t value) { bytes_.push_back(value); }
  void put32(std::uint32_t value) { put(value, 4); }
  void put64(std::uint64_t value) { put(value, 8); }
  void put_ascii(std::string_view text) {
    for (const char c : text) {
      put(static_cast<unsigned char>(c), 2);
    }
    put32(static_cast<std::uint32_t>(text.size()));
  }
  std::int64_t hash() const { return static_cast<std::int64_t>(XXH3_64bits(bytes_.data(), bytes_.size())); }

 private:
  void put(std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) {
      bytes_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    }
  }
  std::vector<std::uint8_t> bytes_;
};

std::vector<std::string> racks_of(const protocol::PartitionRegistration& partition,
                                  const protocol::MetadataImage& image) {
  std::vector<std::string> racks;
  for (const NodeId replica : partition.replicas) {
    const protocol::BrokerRegistration* broker = image.broker(replica);
    if (broker != nullptr && broker->rack) {
      racks.push_back(*broker->rack);
    }
  }
  std::ranges::sort(racks);
  return racks;
}

}  // namespace

std::int64_t topic_hash(std::string_view name, const protocol::MetadataImage& image) {
  const protocol::TopicImage* topic = image.topic(name);
  if (topic == nullptr) {
    return 0;
  }
  Bytes bytes;
  bytes.put8(kMagic);
  bytes.put64(topic->id.high);
  bytes.put64(topic->id.low);
  bytes.put_ascii(topic->name);
  bytes.put32(static_cast<std::uint32_t>(topic->partitions.size()));
  for (const auto& [index, partition] : topic->partitions) {
    bytes.put32(static_cast<std::uint32_t>(index));
    for (const std::string& rack : racks_of(partition, image)) {
      bytes.put32(static_cast<std::uint32_t>(rack.size()));
      bytes.put_ascii(rack);
    }
  }
  return bytes.hash();
}

std::int64_t metadata_hash(const SubscribedTopics& topics, const protocol::MetadataImage& image) {
  Bytes bytes;
  bool any = false;
  for (const auto& [name, count] : topics) {
    if (image.topic(name) != nullptr) {
      bytes.put64(static_cast<std::uint64_t>(topic_hash(name, image)));
      any = true;
    }
  }
  return any ? bytes.hash() : 0;
}

}  // namespace verdict::group
