#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "sim/faults.h"

namespace verdict::sim {

constexpr std::size_t kPageSize = 4096;
constexpr std::size_t kSectorSize = 512;

struct Page {
  std::uint32_t refs = 0;
  Page* next_free = nullptr;
  std::array<std::byte, kPageSize> bytes;
};

// Pages of one disk, reused. A page is shared by the page cache and the durable image as long as they agree on it.
class PagePool {
 public:
  PagePool() = default;
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;
  ~PagePool();
  Page* zeroed();
  Page* copy(const Page& of);
  void drop(Page* page);  // null: nothing

 private:
  Page* raw();
  Page* free_ = nullptr;
};

struct ByteRange {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
};

// What one power loss did to one file.
struct CrashResult {
  std::uint32_t effects = 0;    // bits of PowerLossEffect
  std::vector<ByteRange> lost;  // readable before, gone or different now; ascending, disjoint
  bool has(PowerLossEffect effect) const { return (effects >> static_cast<unsigned>(effect) & 1U) != 0; }
};

using DrawSource = std::function<std::uint64_t()>;

// One file's bytes twice: as a process reads them (page cache) and as they would come back after the power failed
// (durable image). Bytes reach the durable image by sync, or by the luck of a crash. A null page is a hole of zeros;
// bytes of cache pages beyond the size are zero.
class FileContent {
 public:
  explicit FileContent(PagePool& pool) : pool_(&pool) {}
  FileContent(const FileContent&) = delete;
  FileContent& operator=(const FileContent&) = delete;
  ~FileContent();

  std::uint64_t size() const { return size_; }
  std::uint64_t durable_size() const { return durable_size_; }
  bool clean() const;  // the cache is what a crash would bring back

  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  std::size_t read(std::uint64_t offset, std::span<std::byte> into) const;
  void truncate(std::uint64_t size);

  struct SyncTicket {
    std::uint64_t size = 0;
    std::uint64_t truncations = 0;
  };
  SyncTicket begin_sync();
  void end_sync(SyncTicket ticket);
  std::size_t fail_sync();  // the dirty pages are clean now and yet not durable; how many

  CrashResult crash(PowerLossPolicy policy, const DrawSource& draw);
  void lose_everything();

  // Bits that changed on the medium: an overlay over pristine pages, gone where it is overwritten or truncated away.
  struct Rot {
    std::uint64_t offset;
    std::byte mask;
  };
  bool rot(std::uint64_t offset, std::byte mask);  // false: not a clean byte, or rotten already
  const std::vector<Rot>& rotten() const { return rot_; }
  void lift_rot() { rot_.clear(); }  // reads give the pristine bytes again
  std::size_t read_pristine(std::uint64_t offset, std::span<std::byte> into) const;
  // All that a crash would surely bring back.
  std::vector<std::byte> durable_bytes() const;
  // Ranges of what a process can read that `other` does not have, or has otherwise.
  std::vector<ByteRange> differences(std::span<const std::byte> other) const;

 private:
  struct Slot {
    Page* cache = nullptr;
    Page* durable = nullptr;
    bool dirty = false;
    bool syncing = false;
  };
  struct CrashPlan;

  Page& writable(std::size_t index, std::uint64_t from);
  void touch(std::size_t index);
  void set(Page*& place, Page* page);
  std::size_t durable_bytes(std::size_t index, std::uint64_t base) const;
  Page* old_page(std::size_t index, std::uint64_t base);
  bool page_differs(std::size_t index, std::uint64_t base) const;
  void plan_pages(CrashPlan& plan, PowerLossPolicy policy, const DrawSource& draw) const;
  void settle(const CrashPlan& plan, CrashResult& result);
  void find_lost(std::size_t index, const Page* now, std::uint64_t final_size, std::vector<ByteRange>& lost) const;
  void forget_rot(std::uint64_t from, std::uint64_t to);

  PagePool* pool_;
  std::vector<Slot> slots_;
  std::uint64_t size_ = 0;
  std::uint64_t durable_size_ = 0;
  std::uint64_t truncated_to_ = ~std::uint64_t{0};  // the smallest size since durable_size_ was set
  std::uint64_t truncations_ = 0;
  std::size_t dirty_low_ = ~std::size_t{0};
  std::size_t dirty_high_ = 0;
  bool gave_up_ = false;  // a failed sync left pages clean
  std::vector<Rot> rot_;  // by offset
};

}  // namespace verdict::sim
