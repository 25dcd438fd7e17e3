#pragma once

#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/random.h"
#include "runtime/runtime.h"
#include "runtime/scope.h"
#include "runtime/task.h"

// A runtime with a disk in memory and nothing else, for storage's tests: it can defer completions, fail chosen calls,
// and freeze at the k-th change as a killed process would.
namespace verdict::storage::testing {

using Content = std::vector<std::byte>;

class MemoryRuntime;

struct MemoryState {
  std::map<std::string, std::shared_ptr<Content>> files;
  std::set<std::string> directories;
};

class MemoryDisk final : public Disk {
 public:
  explicit MemoryDisk(MemoryRuntime& runtime) : runtime_(runtime) {}
  Outcome<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Outcome<FileStatus> status(const std::string& path) override;
  Outcome<std::vector<std::string>> list(const std::string& directory) override;
  Outcome<void> make_directory(const std::string& path) override;
  Outcome<void> rename(const std::string& from, const std::string& to) override;
  Outcome<void> remove(const std::string& path) override;
  bool sync_directory(Op& op, const std::string& path) override;
  Outcome<void> sync_directory_now(const std::string& path) override;
  Outcome<std::unique_ptr<FileLock>> lock(const std::string& path) override;
  Outcome<std::uint64_t> free_space(const std::string&) override { return std::uint64_t{1} << 40; }

  // A copy of all files as they are, apart from this disk.
  MemoryState copy() const;
  // That state, of which nothing is shared with `state`.
  void restore(const MemoryState& state) {
    state_ = state;
    state_ = copy();
  }
  // A directory of the real machine, at `to`.
  void load(const std::filesystem::path& from, const std::string& to);

  Content& file(const std::string& path) { return *state_.files.at(path); }
  bool has(const std::string& path) const { return state_.files.contains(path); }
  std::size_t open_files() const { return open_; }

  // ---- faults ----
  // Asked before each call ("append", "truncate", "sync", "read", "rename", ...); an error is what the call returns.
  std::function<std::error_code(std::string_view call, const std::string& path)> fault;
  std::optional<std::uint64_t> changes_left;  // then every change fails, without effect
  std::uint64_t changes = 0;

 private:
  friend class MemoryFile;
  std::error_code check(std::string_view call, const std::string& path, bool change);

  MemoryRuntime& runtime_;
  MemoryState state_;
  std::set<std::string> locks_;
  std::size_t open_ = 0;
};

class MemoryRuntime final : public Runtime {
 public:
  MemoryRuntime() : disk_(*this) {}
  MonoTime now() const override { return MonoTime(Duration(wall_ms * 1'000'000)); }
  WallTime wall_now() const override { return WallTime(std::chrono::milliseconds(wall_ms)); }
  bool sleep_until(Op& op, MonoTime) override { return defer(op, 0, {}); }
  void post(Op& op) override { defer(op, 0, {}); }
  void cancel(Op&) override {}
  Network& network() override { std::abort(); }
  MemoryDisk& disk() override { return disk_; }
  std::uint64_t random(Purpose, std::uint64_t entity) override { return mix64(entity, ++draws_); }
  bool maybe(Site) override { return false; }
  void mark(Mark mark) override { ++marks[mark]; }
  const DefectSet& defects() const override { return defects_; }
  bool logs(LogLevel) const override { return false; }
  void log(LogLevel level, std::string_view, std::string_view line) override {
    if (level == LogLevel::warn) warnings.emplace_back(line);
  }
  void halt(std::string_view) override { std::abort(); }

  // Completes at once, or later where completions are deferred.
  bool finish(Op& op, std::size_t bytes, std::error_code error) {
    if (deferred) return defer(op, bytes, error);
    op.bytes = bytes;
    op.error = error;
    return true;
  }
  bool step() {
    if (queue_.empty()) return false;
    Op* op = queue_.front();
    queue_.pop_front();
    op->owner = nullptr;
    op->complete(op);
    return true;
  }
  template <class T>
  T run(Task<T> task) {
    std::optional<T> result;
    Scope scope(*this);
    scope.spawn(keep(std::move(task), &result));
    while (scope.size() > 0 && step()) {
    }
    return std::move(result.value());
  }

  void plant(Defect defect) { defects_.add(defect); }
  std::vector<std::string> warnings;  // logged

  bool deferred = false;
  std::int64_t wall_ms = 1'700'000'000'000;
  std::map<Mark, int> marks;

 private:
  template <class T>
  static Task<void> keep(Task<T> task, std::optional<T>* into) {
    into->emplace(co_await task);
  }
  bool defer(Op& op, std::size_t bytes, std::error_code error) {
    op.bytes = bytes;
    op.error = error;
    op.owner = this;
    queue_.push_back(&op);
    return false;
  }
  MemoryDisk disk_;
  DefectSet defects_;
  std::deque<Op*> queue_;
  std::uint64_t draws_ = 0;
};

class MemoryFile final : public File {
 public:
  MemoryFile(MemoryDisk& disk, std::string path, std::shared_ptr<Content> content)
      : disk_(disk), path_(std::move(path)), content_(std::move(content)) {
    ++disk_.open_;
  }
  ~MemoryFile() override { --disk_.open_; }
  Outcome<std::size_t> append_now(std::span<const ConstBuffer> buffers) override {
    const auto error = disk_.check("append", path_, true);
    std::size_t total = 0;
    for (const ConstBuffer& buffer : buffers) {
      // A write that fails leaves half of its bytes, as a full disk does.
      const std::size_t size = error ? buffer.size / 2 : buffer.size;
      if (!disk_.changes_left || *disk_.changes_left > 0 || !error) {
        content_->insert(content_->end(), buffer.data, buffer.data + size);
      }
      total += size;
    }
    if (error) return std::unexpected(error);
    return total;
  }
  Outcome<std::size_t> write_at_now(std::span<const std::byte> bytes, std::uint64_t offset) override {
    if (const auto error = disk_.check("write", path_, true)) return std::unexpected(error);
    if (content_->size() < offset + bytes.size()) content_->resize(offset + bytes.size());
    std::ranges::copy(bytes, content_->begin() + static_cast<std::ptrdiff_t>(offset));
    return bytes.size();
  }
  Outcome<std::size_t> read_now(std::span<std::byte> into, std::uint64_t offset) override {
    if (const auto error = disk_.check("read", path_, false)) return std::unexpected(error);
    if (offset >= content_->size()) return std::size_t{0};
    const std::size_t count = std::min<std::size_t>(into.size(), content_->size() - offset);
    std::copy_n(content_->begin() + static_cast<std::ptrdiff_t>(offset), count, into.begin());
    return count;
  }
  bool read_at(Op& op, std::span<std::byte> into, std::uint64_t offset) override;
  bool sync(Op& op) override;
  Outcome<void> sync_now() override {
    if (const auto error = disk_.check("sync", path_, false)) return std::unexpected(error);
    return {};
  }
  Outcome<void> truncate_now(std::uint64_t size) override {
    if (const auto error = disk_.check("truncate", path_, true)) return std::unexpected(error);
    content_->resize(size);
    return {};
  }
  std::uint64_t size() const override { return content_->size(); }

 private:
  friend class MemoryDisk;
  MemoryDisk& disk_;
  std::string path_;
  std::shared_ptr<Content> content_;
};

}  // namespace verdict::storage::testing

#include "tests/unit/storage/memory_disk_inline.h"
