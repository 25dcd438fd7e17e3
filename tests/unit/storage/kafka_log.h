#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/batch.h"
#include "storage/compression.h"

namespace verdict::storage::testing {

// The records of a log file that Apache Kafka wrote: of each its key and its value, which a tombstone has not. The file
// has whole batches and nothing else, or the test fails.
template <class Record>
std::vector<Record> records_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_FALSE(text.empty()) << path;
  Bytes rest = std::as_bytes(std::span(text));
  std::vector<Record> out;
  Decompressor decompressor;
  while (!rest.empty()) {
    const auto batch = take_batch(rest).value();
    auto reader = open_records(batch, decompressor, 1 << 20).value();
    for (RecordView record; reader.next(record).value();) {
      const Bytes key = record.key.value();
      Record& one = out.emplace_back(Record{.key = {key.begin(), key.end()}, .value = std::nullopt});
      if (record.value) one.value.emplace(record.value->begin(), record.value->end());
    }
  }
  return out;
}

}  // namespace verdict::storage::testing
