#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/runtime.h"

namespace verdict::storage {

// Open files of one event loop, at most `limit` of them kept for reuse: 10,000 partitions have 30,000 files, a process
// often 20,000 descriptors. The longest unused one goes first. A file in use (someone holds the pointer) that falls out
// stays open until it is let go. Closing loses nothing: unsynced bytes stay in the page cache, and a sync through a
// file opened again covers them.
class FileCache {
 public:
  // Where the cache keeps one file: a member of whatever the file belongs to, so that finding it is no look-up. The
  // file is let go with it.
  class Slot {
   public:
    Slot() = default;
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    ~Slot() {
      if (cache_ != nullptr) cache_->forget(*this);
    }

   private:
    friend class FileCache;
    FileCache* cache_ = nullptr;  // null: nothing is kept
    std::shared_ptr<File> file_;
    Slot* older_ = nullptr;
    Slot* newer_ = nullptr;
  };

  explicit FileCache(Disk& disk, std::size_t limit = 4096);
  FileCache(const FileCache&) = delete;
  FileCache& operator=(const FileCache&) = delete;
  ~FileCache();  // empties all slots

  // The open file of `slot`. Where it is not kept, the one at path() is opened read-write (made if absent where
  // `create`).
  template <class Path>
  Outcome<std::shared_ptr<File>> get(Slot& slot, const Path& path, bool create = false) {
    if (slot.cache_ == nullptr) return open(slot, path(), create);
    if (newest_ != &slot) {
      unlink(slot);
      link(slot);
    }
    return slot.file_;
  }
  // The file is about to be removed, renamed or is in doubt: the next get opens it anew.
  void forget(Slot& slot);

  std::size_t size() const { return size_; }
  std::size_t limit() const { return limit_; }
  std::uint64_t opened() const { return opened_; }
  Disk& disk() const { return *disk_; }

 private:
  Outcome<std::shared_ptr<File>> open(Slot& slot, const std::string& path, bool create);
  void link(Slot& slot);  // as the newest
  void unlink(Slot& slot);

  Disk* disk_;
  std::size_t limit_;
  std::size_t size_ = 0;
  std::uint64_t opened_ = 0;
  Slot* oldest_ = nullptr;  // the longest unused
  Slot* newest_ = nullptr;
};

}  // namespace verdict::storage
