#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "runtime/lookup_map.h"
#include "runtime/runtime.h"

namespace verdict::storage {

// Open files of one event loop, at most `limit` of them kept for reuse: 10,000 partitions have 30,000 files, a process
// often 20,000 descriptors. The longest unused one goes first. A file in use (someone holds the pointer) that falls out
// stays open until it is let go. Closing loses nothing: unsynced bytes stay in the page cache, and a sync through a
// file opened again covers them.
class FileCache {
 public:
  explicit FileCache(Disk& disk, std::size_t limit = 4096);

  // The open file at `path`, opened read-write if need be (made if absent where `create`).
  Outcome<std::shared_ptr<File>> get(const std::string& path, bool create = false);
  // The path's file is about to be removed, renamed or is in doubt: the next get opens it anew.
  void forget(const std::string& path);

  std::size_t size() const { return files_.size(); }
  std::size_t limit() const { return limit_; }
  std::uint64_t opened() const { return opened_; }
  Disk& disk() const { return *disk_; }

 private:
  struct Entry {
    std::shared_ptr<File> file;
    std::list<const std::string*>::iterator age;
  };

  Disk* disk_;
  std::size_t limit_;
  std::uint64_t opened_ = 0;
  LookupMap<std::string, Entry> files_;
  std::list<const std::string*> ages_;  // the longest unused first; keys of files_
};

}  // namespace verdict::storage
