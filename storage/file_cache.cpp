#include "storage/file_cache.h"

#include "runtime/assert.h"

namespace verdict::storage {

FileCache::FileCache(Disk& disk, std::size_t limit) : disk_(&disk), limit_(limit) { VERDICT_ASSERT(limit_ > 0); }

Outcome<std::shared_ptr<File>> FileCache::get(const std::string& path, bool create) {
  if (const auto found = files_.find(path); found != files_.end()) {
    ages_.splice(ages_.end(), ages_, found->second.age);
    return found->second.file;
  }
  auto file = disk_->open(path, create ? OpenMode::create : OpenMode::read_write);
  if (!file) return std::unexpected(file.error());
  ++opened_;
  if (files_.size() >= limit_) {
    const std::string oldest = *ages_.front();
    forget(oldest);
  }
  const auto [at, fresh] = files_.try_emplace(path, Entry{std::shared_ptr<File>(std::move(*file)), {}});
  VERDICT_ASSERT(fresh);
  at->second.age = ages_.insert(ages_.end(), &at->first);
  return at->second.file;
}

void FileCache::forget(const std::string& path) {
  const auto found = files_.find(path);
  if (found == files_.end()) return;
  ages_.erase(found->second.age);
  files_.erase(found);
}

}  // namespace verdict::storage
