// Any bytes as the only segment of a log after an unclean stop: recovery ends at the last valid batch, what it keeps
// can be read and appended to, and a second recovery finds nothing more to cut.
#include "runtime/assert.h"
#include "tests/fuzz/input.h"
#include "tests/unit/storage/support.h"

namespace {

void fill(verdict::Disk& disk, const std::string& path, std::span<const std::byte> bytes) {
  auto file = disk.open(path, verdict::OpenMode::create);
  VERDICT_ASSERT(file, "the disk in memory can't create a file");
  const std::array<verdict::ConstBuffer, 1> buffer{verdict::ConstBuffer{bytes.data(), bytes.size()}};
  VERDICT_ASSERT((*file)->append_now(buffer), "the disk in memory can't append");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verdict::storage;
  const auto bytes = verdict::fuzz::bytes_of(data, size);
  testing::LogHarness log;
  (void)log.runtime.disk().make_directory("d");
  (void)log.runtime.disk().make_directory("d/t-0");
  fill(log.runtime.disk(), "d/t-0/00000000000000000000.log", bytes);
  if (!log.try_open({.clean = false})) return 0;
  const verdict::Offset end = log.log->log_end();
  for (const BatchHeader& header : log.all()) VERDICT_ASSERT(header.next_offset() <= end, "a batch beyond the end");
  if (!log.try_open({.clean = false})) VERDICT_ASSERT(false, "what recovery left can't be opened");
  VERDICT_ASSERT(log.log->log_end() == end, "a second recovery found more to cut");
  return 0;
}
