#include <fmt/format.h>

#include <cstdio>

#include "cli/commands.h"
#include "cli/properties.h"
#include "protocol/broker/node.h"
#include "protocol/metadata_records.h"
#include "runtime/asio/asio_runtime.h"
#include "storage/batch.h"
#include "storage/log_directory.h"

namespace verdict::cli {
namespace {

// One .log file, batch by batch, as Kafka's DumpLogSegments words it.
int dump_file(AsioRuntime& runtime, const std::string& path) {
  const auto file = runtime.disk().open(path, OpenMode::read);
  if (!file) {
    fmt::print(stderr, "{}: {}\n", path, file.error().message());
    return kUsage;
  }
  std::vector<std::byte> bytes((*file)->size());
  const auto read = (*file)->read_now(bytes, 0);
  if (!read) {
    fmt::print(stderr, "{}: {}\n", path, read.error().message());
    return kInternal;
  }
  storage::Bytes rest = storage::Bytes(bytes).first(*read);
  if (storage::Bytes probe = rest; !rest.empty() && !storage::take_batch(probe)) {
    fmt::print(stderr, "{}: is no log: its {} bytes do not begin with a valid batch\n", path, rest.size());
    return kUsage;
  }
  fmt::print("Dumping {}\n", path);
  std::size_t position = 0;
  for (auto batch = storage::take_batch(rest); batch; batch = storage::take_batch(rest)) {
    const storage::BatchHeader& header = batch->header();
    fmt::print(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} producerId: {} producerEpoch: {} "
        "partitionLeaderEpoch: {} "
        "isTransactional: {} isControl: {} position: {} CreateTime: {} size: {} magic: {} compresscodec: {} crc: {} "
        "isvalid: {}\n",
        header.base_offset.value(), header.last_offset().value(), header.count, header.base_sequence,
        header.producer_id.value(), header.producer_epoch.value(), header.leader_epoch.value(), header.transactional(),
        header.control(), position, header.max_timestamp, header.size(), header.magic,
        storage::name_of(header.codec().value_or(storage::Codec::none)), header.crc, batch->crc_valid());
    position += header.size();
  }
  if (!rest.empty()) fmt::print("{} bytes at position {} are no valid batch\n", rest.size(), position);
  return kOk;
}

}  // namespace

int storage_random_uuid() {
  AsioRuntime runtime;
  Uuid id;
  id.high = runtime.random(Purpose::ClusterId, 0);
  id.low = runtime.random(Purpose::ClusterId, 0);
  fmt::print("{}\n", id.to_string());
  return kOk;
}

int storage_format(const StorageOptions& options) {
  auto config = load_properties(options.properties, options.overrides);
  if (!config) return config.error();
  AsioRuntime runtime;
  const auto formatted = broker::format_directory(runtime, *config, options.cluster_id);
  if (!formatted) {
    fmt::print(stderr, "{}\n", formatted.error());
    return kUsage;
  }
  if (*formatted) {
    fmt::print("Formatted {} for cluster {}, node {}.\n", config->log_dirs().front(), options.cluster_id,
               config->node_id().value());
    return kOk;
  }
  if (options.ignore_formatted) {
    fmt::print("{} is formatted already.\n", config->log_dirs().front());
    return kOk;
  }
  fmt::print(stderr, "{} is formatted already; --ignore-formatted makes that no error\n", config->log_dirs().front());
  return kUsage;
}

int storage_info(const StorageOptions& options) {
  auto config = load_properties(options.properties, options.overrides);
  if (!config) return config.error();
  AsioRuntime runtime;
  int code = kOk;
  for (const std::string& path : config->log_dirs()) {
    const auto directory = storage::LogDirectory::open(runtime, path);
    if (!directory || !(*directory)->meta()) {
      const std::string said = directory ? "not formatted" : directory.error().message;
      fmt::print(stderr, "{}\n", said.starts_with(path) ? said : path + ": " + said);
      code = kUsage;
      continue;
    }
    const storage::MetaProperties& meta = *(*directory)->meta();
    fmt::print("{}: cluster {}, node {}, directory {}, {} partitions\n", path, meta.cluster_id, meta.node_id,
               meta.directory_id ? meta.directory_id->to_string() : "-", (*directory)->partitions().size());
  }
  return code;
}

int storage_dump(const StorageOptions& options) {
  AsioRuntime runtime;
  int code = kOk;
  for (const std::string& path : options.files) {
    if (const int one = dump_file(runtime, path); one != kOk) code = one;
  }
  return code;
}

}  // namespace verdict::cli
