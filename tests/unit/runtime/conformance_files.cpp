// What every Disk and File does.
#include <array>
#include <string>
#include <vector>

#include "runtime/io.h"
#include "tests/unit/runtime/world.h"

namespace verdict::conformance {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }
ConstBuffer buffer_of(const std::string& text) { return {bytes_of(text).data(), text.size()}; }

std::string pattern(std::size_t size, unsigned seed) {
  std::string text(size, '\0');
  unsigned state = seed * 2654435761U + 1;
  for (char& c : text) {
    state = state * 1664525U + 1013904223U;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

Outcome<std::size_t> append(File& file, const std::string& text) {
  const ConstBuffer buffer = buffer_of(text);
  return file.append_now({&buffer, 1});
}

std::string content(File& file, std::uint64_t offset = 0, std::size_t limit = 1 << 24) {
  std::string text(std::min<std::size_t>(limit, file.size() + 10), '\0');
  const auto got = file.read_now(std::as_writable_bytes(std::span(text)), offset);
  if (!got) return "error: " + got.error().message();
  text.resize(*got);
  return text;
}

struct ReadBack {
  std::string text;
  IoResult result;
};

Task<void> read_back(File* file, std::uint64_t offset, std::size_t size, ReadBack* out) {
  out->text.assign(size, '\0');
  out->result = co_await read_at(*file, std::as_writable_bytes(std::span(out->text)), offset);
  out->text.resize(out->result.bytes);
}

TEST_P(FileConformance, CreatesAppendsAndReadsBack) {
  auto file = node().disk().open(path("a"), OpenMode::create);
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ((*file)->size(), 0u);
  EXPECT_EQ(append(**file, "hello "), 6u);
  const std::string parts[] = {"wor", "", "ld", "!"};
  std::vector<ConstBuffer> buffers;
  for (const std::string& part : parts) buffers.push_back(buffer_of(part));
  EXPECT_EQ((*file)->append_now(buffers), 6u);
  EXPECT_EQ((*file)->append_now({}), 0u);
  EXPECT_EQ((*file)->size(), 12u);
  EXPECT_EQ(content(**file), "hello world!");
  EXPECT_EQ(content(**file, 6, 3), "wor");
  EXPECT_EQ(content(**file, 12), "");
  EXPECT_EQ(content(**file, 1000), "");
  file->reset();
  auto again = node().disk().open(path("a"), OpenMode::create);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(content(**again), "hello world!");
  EXPECT_EQ(append(**again, "?"), 1u);
  EXPECT_EQ(content(**again), "hello world!?");
}

TEST_P(FileConformance, ReadAtFillsTheBufferOrEndsWithTheFile) {
  auto file = *node().disk().open(path("a"), OpenMode::create);
  const std::string data = pattern(3'000'000, 1);
  ASSERT_EQ(append(*file, data), data.size());
  Scope scope(node());
  ReadBack all;
  ReadBack middle;
  ReadBack tail;
  ReadBack past;
  scope.spawn(read_back(file.get(), 0, data.size(), &all));
  scope.spawn(read_back(file.get(), 1'000'001, 70'000, &middle));
  scope.spawn(read_back(file.get(), data.size() - 10, 100, &tail));
  scope.spawn(read_back(file.get(), data.size() + 10, 100, &past));
  run(scope);
  for (const ReadBack* each : {&all, &middle, &tail, &past}) EXPECT_TRUE(each->result.ok());
  EXPECT_TRUE(all.text == data);
  EXPECT_TRUE(middle.text == data.substr(1'000'001, 70'000));
  EXPECT_TRUE(tail.text == data.substr(data.size() - 10));
  EXPECT_EQ(past.result.bytes, 0u);
}

TEST_P(FileConformance, AnotherHandleSeesWhatIsAppended) {
  auto writer = *node().disk().open(path("a"), OpenMode::create);
  auto reader = node().disk().open(path("a"), OpenMode::read);
  ASSERT_TRUE(reader.has_value());
  EXPECT_EQ((*reader)->size(), 0u);
  ASSERT_EQ(append(*writer, "abc"), 3u);
  EXPECT_EQ((*reader)->size(), 3u);
  EXPECT_EQ(content(**reader), "abc");
}

TEST_P(FileConformance, AReadOnlyFileRefusesWrites) {
  {
    auto file = *node().disk().open(path("a"), OpenMode::create);
  }
  auto file = *node().disk().open(path("a"), OpenMode::read);
  EXPECT_FALSE(append(*file, "x").has_value());
  EXPECT_FALSE(file->write_at_now(bytes_of("x"), 0).has_value());
  EXPECT_FALSE(file->truncate_now(0).has_value());
  EXPECT_EQ(content(*file), "");
}

TEST_P(FileConformance, TruncatesAndExtendsWithZeros) {
  auto file = *node().disk().open(path("a"), OpenMode::create);
  ASSERT_EQ(append(*file, "0123456789"), 10u);
  ASSERT_TRUE(file->truncate_now(4).has_value());
  EXPECT_EQ(file->size(), 4u);
  EXPECT_EQ(content(*file), "0123");
  ASSERT_EQ(append(*file, "ab"), 2u);
  EXPECT_EQ(content(*file), "0123ab");
  ASSERT_TRUE(file->truncate_now(9).has_value());
  EXPECT_EQ(file->size(), 9u);
  EXPECT_EQ(content(*file), std::string("0123ab\0\0\0", 9));
  EXPECT_EQ(node().disk().status(path("a"))->size, 9u);
  ASSERT_TRUE(file->truncate_now(0).has_value());
  EXPECT_EQ(content(*file), "");
}

TEST_P(FileConformance, WritesAtAnyPlace) {
  auto file = *node().disk().open(path("a"), OpenMode::create);
  ASSERT_EQ(append(*file, "0123456789"), 10u);
  EXPECT_EQ(file->write_at_now(bytes_of("XY"), 3), 2u);
  EXPECT_EQ(content(*file), "012XY56789");
  EXPECT_EQ(file->write_at_now(bytes_of("end"), 9), 3u);
  EXPECT_EQ(file->size(), 12u);
  EXPECT_EQ(content(*file), "012XY5678end");
  EXPECT_EQ(file->write_at_now(bytes_of("far"), 14), 3u);
  EXPECT_EQ(content(*file), std::string("012XY5678end\0\0far", 17));
  ASSERT_EQ(append(*file, "+"), 1u);
  EXPECT_EQ(file->size(), 18u);
}

TEST_P(FileConformance, OpenModes) {
  Disk& disk = node().disk();
  for (const OpenMode mode : {OpenMode::read, OpenMode::read_write}) {
    const auto missing = disk.open(path("missing"), mode);
    ASSERT_FALSE(missing.has_value());
    EXPECT_EQ(missing.error(), std::errc::no_such_file_or_directory);
  }
  const auto nowhere = disk.open(path("no/such/directory"), OpenMode::create);
  ASSERT_FALSE(nowhere.has_value());
  EXPECT_EQ(nowhere.error(), std::errc::no_such_file_or_directory);
  ASSERT_TRUE(disk.make_directory(path("d")).has_value());
  const auto directory = disk.open(path("d"), OpenMode::read);
  ASSERT_FALSE(directory.has_value());
  EXPECT_EQ(directory.error(), std::errc::is_a_directory);
  {
    auto file = *disk.open(path("f"), OpenMode::create);
  }
  auto file = disk.open(path("f"), OpenMode::read_write);
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(append(**file, "x"), 1u);
}

TEST_P(FileConformance, Directories) {
  Disk& disk = node().disk();
  ASSERT_TRUE(disk.make_directory(path("x/y/z")).has_value());
  ASSERT_TRUE(disk.make_directory(path("x/y/z")).has_value());
  EXPECT_TRUE(disk.status(path("x/y"))->directory);
  for (const char* name : {"x/c", "x/a", "x/b", "x/B"}) {
    auto file = *disk.open(path(name), OpenMode::create);
  }
  EXPECT_FALSE(disk.status(path("x/c"))->directory);
  EXPECT_EQ(disk.list(path("x")), (std::vector<std::string>{"B", "a", "b", "c", "y"}));
  EXPECT_EQ(disk.list(path("x/y/z")), std::vector<std::string>{});
  EXPECT_EQ(disk.list(path("missing")).error(), std::errc::no_such_file_or_directory);
  EXPECT_EQ(disk.status(path("missing")).error(), std::errc::no_such_file_or_directory);
  EXPECT_EQ(disk.make_directory(path("x/a")).error(), std::errc::not_a_directory);
  EXPECT_EQ(disk.remove(path("x/y")).error(), std::errc::directory_not_empty);
  EXPECT_EQ(disk.remove(path("missing")).error(), std::errc::no_such_file_or_directory);
  EXPECT_TRUE(disk.remove(path("x/y/z")).has_value());
  EXPECT_TRUE(disk.remove(path("x/y")).has_value());
  EXPECT_TRUE(disk.remove(path("x/a")).has_value());
  EXPECT_EQ(disk.list(path("x")), (std::vector<std::string>{"B", "b", "c"}));
}

TEST_P(FileConformance, RenameReplacesAndMovesDirectories) {
  Disk& disk = node().disk();
  {
    auto old_file = *disk.open(path("to"), OpenMode::create);
    auto new_file = *disk.open(path("from"), OpenMode::create);
    ASSERT_EQ(append(*old_file, "old"), 3u);
    ASSERT_EQ(append(*new_file, "new"), 3u);
    ASSERT_TRUE(disk.rename(path("from"), path("to")).has_value());
    // An open file keeps its content whatever happens to its name.
    EXPECT_EQ(content(*old_file), "old");
    ASSERT_EQ(append(*new_file, "er"), 2u);
  }
  EXPECT_EQ(disk.status(path("from")).error(), std::errc::no_such_file_or_directory);
  EXPECT_EQ(content(**disk.open(path("to"), OpenMode::read)), "newer");
  EXPECT_EQ(disk.rename(path("missing"), path("to")).error(), std::errc::no_such_file_or_directory);
  ASSERT_TRUE(disk.make_directory(path("d/e")).has_value());
  {
    auto file = *disk.open(path("d/e/f"), OpenMode::create);
  }
  ASSERT_TRUE(disk.rename(path("d"), path("g")).has_value());
  EXPECT_EQ(disk.list(path("g/e")), std::vector<std::string>{"f"});
  EXPECT_EQ(disk.list(path("d")).error(), std::errc::no_such_file_or_directory);
}

TEST_P(FileConformance, ARemovedFileStaysReadableWhileOpen) {
  auto file = *node().disk().open(path("a"), OpenMode::create);
  ASSERT_EQ(append(*file, "data"), 4u);
  ASSERT_TRUE(node().disk().remove(path("a")).has_value());
  EXPECT_EQ(content(*file), "data");
  EXPECT_EQ(append(*file, "+"), 1u);
  EXPECT_EQ(content(*file), "data+");
  // A new file of the name is another one.
  auto other = *node().disk().open(path("a"), OpenMode::create);
  EXPECT_EQ(other->size(), 0u);
}

Task<void> sync_both(Runtime* runtime, File* file, std::string directory, std::vector<IoResult>* results) {
  const IoResult first = co_await sync(*file);
  results->push_back(first);
  const IoResult second = co_await sync_directory(runtime->disk(), directory);
  results->push_back(second);
}

TEST_P(FileConformance, Syncs) {
  auto file = *node().disk().open(path("a"), OpenMode::create);
  ASSERT_EQ(append(*file, pattern(100'000, 2)), 100'000u);
  Scope scope(node());
  std::vector<IoResult> results;
  for (int i = 0; i < 10; ++i) scope.spawn(sync_both(&node(), file.get(), world_->root(0), &results));
  // Appends go on while syncs are in flight.
  ASSERT_EQ(append(*file, "more"), 4u);
  run(scope);
  ASSERT_EQ(results.size(), 20u);
  for (const IoResult& result : results) EXPECT_TRUE(result.ok()) << result.error.message();
  EXPECT_TRUE(file->sync_now().has_value());
  EXPECT_TRUE(node().disk().sync_directory_now(world_->root(0)).has_value());
  EXPECT_EQ(node().disk().sync_directory_now(path("missing")).error(), std::errc::no_such_file_or_directory);
  results.clear();
  scope.spawn(sync_both(&node(), file.get(), path("missing"), &results));
  run(scope);
  ASSERT_EQ(results.size(), 2u);
  EXPECT_TRUE(results[0].ok());
  EXPECT_EQ(results[1].error, std::errc::no_such_file_or_directory);
}

TEST_P(FileConformance, LocksExcludeEachOtherUntilReleased) {
  Disk& disk = node().disk();
  auto held = disk.lock(path(".lock"));
  ASSERT_TRUE(held.has_value());
  const auto second = disk.lock(path(".lock"));
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error(), std::errc::device_or_resource_busy);
  EXPECT_TRUE(disk.lock(path(".other")).has_value());
  held->reset();
  EXPECT_TRUE(disk.lock(path(".lock")).has_value());
  EXPECT_FALSE(disk.lock(path("no/such/.lock")).has_value());
}

TEST_P(FileConformance, TellsFreeSpace) {
  const auto space = node().disk().free_space(world_->root(0));
  ASSERT_TRUE(space.has_value());
  EXPECT_GT(*space, 0u);
}

TEST_P(FileConformance, NodesHaveFilesOfTheirOwn) {
  {
    auto file = *node(0).disk().open(path("a", 0), OpenMode::create);
  }
  EXPECT_EQ(node(1).disk().status(path("a", 1)).error(), std::errc::no_such_file_or_directory);
}

TEST_P(FileConformance, ALoopOfReadsYields) {
  auto file = *node().disk().open(path("a"), OpenMode::create);
  ASSERT_EQ(append(*file, "0123456789"), 10u);
  Scope scope(node());
  bool stop = false;
  int rounds = 0;
  const auto spin = [](File* from, bool* flag, int* count) -> Task<void> {
    std::array<std::byte, 4> into;
    while (!*flag && *count < 1'000'000) {
      const IoResult got = co_await read_at(*from, into, 2);
      VERDICT_ASSERT(got.ok() && got.bytes == 4 && into[0] == std::byte{'2'});
      ++*count;
    }
  };
  const auto other = [](Signal* signal, bool* flag) -> Task<void> {
    co_await signal->wait();
    *flag = true;
  };
  Signal signal(node());
  scope.spawn(other(&signal, &stop));
  signal.notify();
  scope.spawn(spin(file.get(), &stop, &rounds));
  run(scope);
  EXPECT_TRUE(stop);
  EXPECT_LT(rounds, 1'000'000);
}

}  // namespace
}  // namespace verdict::conformance
