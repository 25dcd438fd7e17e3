#include "storage/file_cache.h"

#include "runtime/assert.h"

namespace verdict::storage {

FileCache::FileCache(Disk& disk, std::size_t limit) : disk_(&disk), limit_(limit) { VERDICT_ASSERT(limit_ > 0); }

Outcome<std::shared_ptr<File>> FileCache::get(const std::string& path, bool create) {
  if (const Entry* found = files_.find(path)) {
    ages_.splice(ages_.end(), ages_, found->age);
    return found->file;
  }
  auto file = disk_->open(path, create ? OpenMode::create : OpenMode::read_write);
  if (!file) return std::unexpected(file.error());
  ++opened_;
  if (files_.size() >= limit_) {
    const std::string oldest = *ages_.front();
    forget(oldest);
  }
  const auto made = files_.try_emplace(path, Entry{std::shared_ptr<File>(std::move(*file)), {}});
  VERDICT_ASSERT(made.fresh);
  made.value->age = ages_.insert(ages_.end(), made.key);
  return made.value->file;
}

void FileCache::forget(const std::string& path) {
  const Entry* found = files_.find(path);
  if (found == nullptr) return;
  ages_.erase(found->age);
  files_.erase(path);
}

}  // namespace verdict::storage
