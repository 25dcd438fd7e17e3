#include "sim/file_content.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/assert.h"

namespace verdict::sim {

PagePool::~PagePool() {
  while (free_ != nullptr) delete std::exchange(free_, free_->next_free);
}

Page* PagePool::raw() {
  Page* page = free_ != nullptr ? std::exchange(free_, free_->next_free) : new Page;
  page->refs = 1;
  return page;
}

Page* PagePool::zeroed() {
  Page* page = raw();
  page->bytes.fill(std::byte{0});
  return page;
}

Page* PagePool::copy(const Page& of) {
  Page* page = raw();
  page->bytes = of.bytes;
  return page;
}

void PagePool::drop(Page* page) {
  if (page == nullptr || --page->refs != 0) return;
  page->next_free = free_;
  free_ = page;
}

FileContent::~FileContent() {
  for (Slot& slot : slots_) {
    pool_->drop(slot.cache);
    pool_->drop(slot.durable);
  }
}

void FileContent::set(Page*& place, Page* page) {
  if (place == page) return;
  if (page != nullptr) ++page->refs;
  pool_->drop(place);
  place = page;
}

bool FileContent::clean() const {
  return size_ == durable_size_ && truncated_to_ >= durable_size_ && dirty_low_ > dirty_high_ && !gave_up_;
}

void FileContent::touch(std::size_t index) {
  slots_[index].dirty = true;
  dirty_low_ = std::min(dirty_low_, index);
  dirty_high_ = std::max(dirty_high_, index);
}

// The cache page of `index`, its own if bytes that the durable image shows would change. Bytes beyond the durable size
// are not shown by it, so that appends to a shared page need no copy.
Page& FileContent::writable(std::size_t index, std::uint64_t from) {
  if (index >= slots_.size()) slots_.resize(index + 1);
  Slot& slot = slots_[index];
  if (slot.cache == nullptr) {
    slot.cache = pool_->zeroed();
  } else if (slot.cache == slot.durable && from < durable_size_) {
    Page* own = pool_->copy(*slot.cache);
    pool_->drop(slot.cache);
    slot.cache = own;
  }
  touch(index);
  return *slot.cache;
}

void FileContent::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (!rot_.empty()) forget_rot(offset, offset + bytes.size());
  std::uint64_t at = offset;
  while (!bytes.empty()) {
    const std::size_t within = at % kPageSize;
    const std::size_t n = std::min(bytes.size(), kPageSize - within);
    std::memcpy(writable(at / kPageSize, at).bytes.data() + within, bytes.data(), n);
    bytes = bytes.subspan(n);
    at += n;
  }
  size_ = std::max(size_, at);
}

std::size_t FileContent::read_pristine(std::uint64_t offset, std::span<std::byte> into) const {
  if (offset >= size_) return 0;
  const std::size_t total = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size_ - offset));
  std::size_t done = 0;
  while (done < total) {
    const std::uint64_t at = offset + done;
    const std::size_t within = at % kPageSize;
    const std::size_t n = std::min(total - done, kPageSize - within);
    const std::size_t index = at / kPageSize;
    const Page* page = index < slots_.size() ? slots_[index].cache : nullptr;
    if (page != nullptr) {
      std::memcpy(into.data() + done, page->bytes.data() + within, n);
    } else {
      std::memset(into.data() + done, 0, n);
    }
    done += n;
  }
  return total;
}

std::vector<std::byte> FileContent::durable_bytes() const {
  std::vector<std::byte> bytes(durable_size_);
  for (std::size_t at = 0; at < bytes.size(); at += kPageSize) {
    const std::size_t index = at / kPageSize;
    const Page* page = index < slots_.size() ? slots_[index].durable : nullptr;
    if (page != nullptr) std::memcpy(bytes.data() + at, page->bytes.data(), std::min(kPageSize, bytes.size() - at));
  }
  return bytes;
}

std::vector<ByteRange> FileContent::differences(std::span<const std::byte> other) const {
  std::vector<ByteRange> ranges;
  std::array<std::byte, kPageSize> page{};
  for (std::uint64_t at = 0; at < size_; at += kPageSize) {
    const std::size_t size = read_pristine(at, page);
    for (std::size_t i = 0; i < size; ++i) {
      if (at + i < other.size() && other[at + i] == page[i]) continue;
      if (!ranges.empty() && ranges.back().to == at + i) {
        ++ranges.back().to;
      } else {
        ranges.push_back({at + i, at + i + 1});
      }
    }
  }
  return ranges;
}

std::size_t FileContent::read(std::uint64_t offset, std::span<std::byte> into) const {
  const std::size_t total = read_pristine(offset, into);
  if (rot_.empty()) return total;
  auto it =
      std::lower_bound(rot_.begin(), rot_.end(), offset, [](const Rot& r, std::uint64_t o) { return r.offset < o; });
  for (; it != rot_.end() && it->offset < offset + total; ++it) into[it->offset - offset] ^= it->mask;
  return total;
}

void FileContent::truncate(std::uint64_t size) {
  if (size > size_) {  // a hole
    size_ = size;
    if (size_ > slots_.size() * kPageSize) slots_.resize((size_ + kPageSize - 1) / kPageSize);
    touch((size_ - 1) / kPageSize);
    return;
  }
  if (size == size_) return;
  ++truncations_;
  if (size < durable_size_) truncated_to_ = std::min(truncated_to_, size);
  if (!rot_.empty()) forget_rot(size, size_);
  const std::size_t within = size % kPageSize;
  std::size_t index = size / kPageSize;
  if (within != 0) {
    if (index < slots_.size() && slots_[index].cache != nullptr) {
      Page& page = writable(index, size);
      std::fill(page.bytes.begin() + static_cast<std::ptrdiff_t>(within), page.bytes.end(), std::byte{0});
    }
    ++index;
  }
  for (; index < slots_.size(); ++index) {
    set(slots_[index].cache, nullptr);
    touch(index);
  }
  size_ = size;
}

FileContent::SyncTicket FileContent::begin_sync() {
  for (std::size_t i = dirty_low_; i <= dirty_high_ && i < slots_.size(); ++i) {
    slots_[i].syncing |= slots_[i].dirty;
    slots_[i].dirty = false;
  }
  return {size_, truncations_};
}

void FileContent::end_sync(SyncTicket ticket) {
  // A truncation since the start: the kernel may write everything that is there now, and does.
  const bool all = ticket.truncations != truncations_;
  const std::uint64_t target = all ? size_ : std::min(ticket.size, size_);
  std::size_t low = ~std::size_t{0};
  std::size_t high = 0;
  for (std::size_t i = dirty_low_; i <= dirty_high_ && i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.syncing || (all && slot.dirty)) set(slot.durable, slot.cache);
    slot.syncing = false;
    if (all) slot.dirty = false;
    if (slot.dirty) {
      low = std::min(low, i);
      high = i;
    }
  }
  dirty_low_ = low;
  dirty_high_ = high;
  durable_size_ = truncated_to_ < durable_size_ || all ? target : std::max(durable_size_, target);
  truncated_to_ = ~std::uint64_t{0};
  const std::size_t used = (std::max(size_, durable_size_) + kPageSize - 1) / kPageSize;
  for (std::size_t i = used; i < slots_.size(); ++i) {
    pool_->drop(slots_[i].cache);
    pool_->drop(slots_[i].durable);
  }
  if (used < slots_.size()) {
    slots_.resize(used);
    if (used == 0 || dirty_low_ >= used) dirty_low_ = ~std::size_t{0}, dirty_high_ = 0;
  }
}

std::size_t FileContent::fail_sync() {
  std::size_t pages = 0;
  for (std::size_t i = dirty_low_; i <= dirty_high_ && i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (!slot.dirty && !slot.syncing) continue;
    ++pages;
    slot.dirty = slot.syncing = false;
    if (slot.cache != nullptr && slot.cache == slot.durable) {
      Page* old = old_page(i, durable_size_);
      pool_->drop(slot.durable);
      slot.durable = old;
    }
  }
  dirty_low_ = ~std::size_t{0};
  dirty_high_ = 0;
  gave_up_ |= pages != 0;
  return pages;
}

bool FileContent::rot(std::uint64_t offset, std::byte mask) {
  const std::size_t index = offset / kPageSize;
  if (mask == std::byte{0} || offset >= size_ || offset >= durable_size_ || index >= slots_.size()) return false;
  const Slot& slot = slots_[index];
  if (slot.dirty || slot.syncing || slot.cache == nullptr || slot.cache != slot.durable) return false;
  const auto it =
      std::lower_bound(rot_.begin(), rot_.end(), offset, [](const Rot& r, std::uint64_t o) { return r.offset < o; });
  if (it != rot_.end() && it->offset == offset) return false;
  rot_.insert(it, Rot{offset, mask});
  return true;
}

void FileContent::forget_rot(std::uint64_t from, std::uint64_t to) {
  std::erase_if(rot_, [&](const Rot& r) { return r.offset >= from && r.offset < to; });
}

}  // namespace verdict::sim
