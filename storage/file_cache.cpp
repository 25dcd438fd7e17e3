#include "storage/file_cache.h"

#include <utility>

#include "runtime/assert.h"

namespace verdict::storage {

FileCache::FileCache(Disk& disk, std::size_t limit) : disk_(&disk), limit_(limit) { VERDICT_ASSERT(limit_ > 0); }

FileCache::~FileCache() {
  while (oldest_ != nullptr) forget(*oldest_);
}

Outcome<std::shared_ptr<File>> FileCache::open(Slot& slot, const std::string& path, bool create) {
  auto file = disk_->open(path, create ? OpenMode::create : OpenMode::read_write);
  if (!file) return std::unexpected(file.error());
  ++opened_;
  if (size_ >= limit_) forget(*oldest_);
  slot.cache_ = this;
  slot.file_ = std::move(*file);
  link(slot);
  ++size_;
  return slot.file_;
}

void FileCache::forget(Slot& slot) {
  if (slot.cache_ == nullptr) return;
  VERDICT_ASSERT(slot.cache_ == this);
  unlink(slot);
  --size_;
  slot.cache_ = nullptr;
  slot.file_.reset();
}

void FileCache::link(Slot& slot) {
  slot.older_ = newest_;
  slot.newer_ = nullptr;
  (newest_ != nullptr ? newest_->newer_ : oldest_) = &slot;
  newest_ = &slot;
}

void FileCache::unlink(Slot& slot) {
  (slot.older_ != nullptr ? slot.older_->newer_ : oldest_) = slot.newer_;
  (slot.newer_ != nullptr ? slot.newer_->older_ : newest_) = slot.older_;
}

}  // namespace verdict::storage
