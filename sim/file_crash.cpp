// What a power loss leaves of one file. Survivable by contract: what was synced. Everything else is open, page by page:
// kept, dropped, torn by sector, out of order; the size may be there without the data; a truncation may not have
// happened.
#include <algorithm>
#include <cstring>

#include "runtime/assert.h"
#include "runtime/random.h"
#include "sim/file_content.h"

namespace verdict::sim {
namespace {

enum class PageFate : std::uint8_t { old_bytes, new_bytes, torn, zero };

constexpr std::uint32_t bit(PowerLossEffect effect) { return 1U << static_cast<unsigned>(effect); }

}  // namespace

struct FileContent::CrashPlan {
  std::uint64_t base = 0;   // size of the old image
  std::uint64_t limit = 0;  // size up to which new bytes may have reached the disk
  std::uint64_t final_size = 0;
  std::vector<std::size_t> open;  // pages where old and new differ, ascending
  std::vector<PageFate> fate;     // of each
  std::uint8_t torn_sectors = 0;  // bit set: the sector is new
  std::uint32_t effects = 0;
};

// Bytes of a page that the durable image shows below `base`.
std::size_t FileContent::durable_bytes(std::size_t index, std::uint64_t base) const {
  const std::uint64_t start = index * kPageSize;
  return base <= start ? 0 : static_cast<std::size_t>(std::min<std::uint64_t>(kPageSize, base - start));
}

Page* FileContent::old_page(std::size_t index, std::uint64_t base) {
  const std::size_t visible = durable_bytes(index, base);
  Page* durable = slots_[index].durable;
  if (visible == 0 || durable == nullptr) return nullptr;
  if (visible == kPageSize) {
    ++durable->refs;
    return durable;
  }
  Page* page = pool_->zeroed();
  std::memcpy(page->bytes.data(), durable->bytes.data(), visible);
  return page;
}

bool FileContent::page_differs(std::size_t index, std::uint64_t base) const {
  const Slot& slot = slots_[index];
  const std::size_t visible = durable_bytes(index, base);
  if (slot.cache == slot.durable) return slot.cache != nullptr && visible < durable_bytes(index, size_);
  return true;
}

// Fates are drawn for pages that were dirty; a page that a failed sync left clean has no chance.
void FileContent::plan_pages(CrashPlan& plan, PowerLossPolicy policy, const DrawSource& draw) const {
  plan.fate.assign(plan.open.size(), PageFate::old_bytes);
  plan.final_size = plan.base;
  std::vector<std::size_t> chances;  // into open
  for (std::size_t k = 0; k < plan.open.size(); ++k) {
    const Slot& slot = slots_[plan.open[k]];
    if (slot.dirty || slot.syncing) chances.push_back(k);
  }
  const bool grew = plan.limit > plan.base;
  if ((chances.empty() && !grew) || policy.lose_all()) {
    if (!plan.open.empty() || grew) plan.effects |= bit(PowerLossEffect::dropped);
    return;
  }
  std::array<PowerLossEffect, 5> modes;
  std::size_t count = 0;
  if (policy.allows(PowerLossEffect::kept)) modes[count++] = PowerLossEffect::kept;
  if (policy.allows(PowerLossEffect::dropped)) modes[count++] = PowerLossEffect::dropped;
  if (policy.allows(PowerLossEffect::torn) && !chances.empty()) modes[count++] = PowerLossEffect::torn;
  if (policy.allows(PowerLossEffect::reordered) && chances.size() > 1) modes[count++] = PowerLossEffect::reordered;
  if (policy.allows(PowerLossEffect::zero_tail) && grew) modes[count++] = PowerLossEffect::zero_tail;
  if (count == 0) modes[count++] = PowerLossEffect::kept;
  const PowerLossEffect mode = modes[scale_to(draw(), count)];
  plan.effects |= bit(mode);
  // The pages before the pivot are kept, but for `reordered`, where each draws.
  const std::size_t pivot = chances.empty() ? 0 : scale_to(draw(), chances.size());
  const auto keep_below = [&](std::size_t end) {
    for (std::size_t c = 0; c < end; ++c) plan.fate[chances[c]] = PageFate::new_bytes;
  };
  bool size_reached = mode == PowerLossEffect::kept || mode == PowerLossEffect::zero_tail;
  if (mode == PowerLossEffect::kept) {
    keep_below(chances.size());
  } else if (mode == PowerLossEffect::dropped) {
    keep_below(pivot);
    size_reached = grew && (draw() & 3) == 0;  // a hole at the end
  } else if (mode == PowerLossEffect::zero_tail) {
    keep_below(chances.size());
    for (std::size_t c = 0; c < chances.size(); ++c) {
      const std::size_t index = plan.open[chances[c]];
      if (c >= pivot && (index + 1) * kPageSize > plan.base) plan.fate[chances[c]] = PageFate::zero;
    }
    if (!chances.empty()) plan.fate[chances.back()] = PageFate::zero;
  } else if (mode == PowerLossEffect::torn) {
    keep_below(pivot);
    plan.fate[chances[pivot]] = PageFate::torn;
    plan.torn_sectors = static_cast<std::uint8_t>(1 + scale_to(draw(), 254));
    if (pivot + 1 < chances.size()) plan.effects |= bit(PowerLossEffect::dropped);
  } else {
    const std::size_t dropped = scale_to(draw(), chances.size() - 1);
    const std::size_t kept = dropped + 1 + scale_to(draw(), chances.size() - dropped - 1);
    for (std::size_t c = 0; c < chances.size(); ++c) {
      const bool keep = c == kept || (c != dropped && (draw() & 1) != 0);
      if (keep) plan.fate[chances[c]] = PageFate::new_bytes;
    }
    plan.effects |= bit(PowerLossEffect::dropped);
  }
  if (size_reached) plan.final_size = std::max(plan.base, plan.limit);
  for (std::size_t k = 0; k < plan.open.size(); ++k) {
    if (plan.fate[k] == PageFate::old_bytes) continue;
    const std::uint64_t end = std::min<std::uint64_t>(plan.limit, (plan.open[k] + 1) * kPageSize);
    plan.final_size = std::max(plan.final_size, end);
  }
}

void FileContent::find_lost(std::size_t index, const Page* now, std::uint64_t final_size,
                            std::vector<ByteRange>& lost) const {
  const Page* before = slots_[index].cache;
  const std::uint64_t start = index * kPageSize;
  const std::size_t readable = durable_bytes(index, size_);
  if (before == now && start + readable <= final_size) return;
  const auto add = [&](std::uint64_t from, std::uint64_t to) {
    if (!lost.empty() && lost.back().to == from) {
      lost.back().to = to;
    } else {
      lost.push_back({from, to});
    }
  };
  for (std::size_t i = 0; i < readable; ++i) {
    const std::byte was = before == nullptr ? std::byte{0} : before->bytes[i];
    const std::byte is = now == nullptr ? std::byte{0} : now->bytes[i];
    if (was != is || start + i >= final_size) add(start + i, start + i + 1);
  }
}

void FileContent::settle(const CrashPlan& plan, CrashResult& result) {
  const std::size_t pages = std::max(slots_.size(), (plan.final_size + kPageSize - 1) / kPageSize);
  slots_.resize(pages);
  std::size_t k = 0;
  for (std::size_t i = 0; i < pages; ++i) {
    Slot& slot = slots_[i];
    const bool open = k < plan.open.size() && plan.open[k] == i;
    Page* now = nullptr;
    if (!open) {
      now = slot.cache;
      if (now != nullptr) ++now->refs;
    } else {
      const PageFate fate = plan.fate[k++];
      Page* old = old_page(i, plan.base);
      if (fate == PageFate::old_bytes || fate == PageFate::zero) {
        now = old;
      } else if (fate == PageFate::new_bytes) {
        pool_->drop(old);
        now = slot.cache;
        if (now != nullptr) ++now->refs;
      } else {
        now = old == nullptr ? pool_->zeroed() : pool_->copy(*old);
        pool_->drop(old);
        for (std::size_t s = 0; s < kPageSize / kSectorSize; ++s) {
          if ((plan.torn_sectors >> s & 1) == 0) continue;
          std::byte* to = now->bytes.data() + s * kSectorSize;
          if (slot.cache == nullptr) {
            std::memset(to, 0, kSectorSize);
          } else {
            std::memcpy(to, slot.cache->bytes.data() + s * kSectorSize, kSectorSize);
          }
        }
      }
    }
    find_lost(i, now, plan.final_size, result.lost);
    // The invariant of zeros beyond the size.
    const std::size_t shown = durable_bytes(i, plan.final_size);
    if (now != nullptr && shown < kPageSize) {
      Page* own = shown == 0 ? nullptr : pool_->copy(*now);
      if (own != nullptr)
        std::fill(own->bytes.begin() + static_cast<std::ptrdiff_t>(shown), own->bytes.end(), std::byte{0});
      pool_->drop(now);
      now = own;
    }
    pool_->drop(slot.cache);
    pool_->drop(slot.durable);
    if (now != nullptr) ++now->refs;
    slot = Slot{now, now, false, false};
  }
}

CrashResult FileContent::crash(PowerLossPolicy policy, const DrawSource& draw) {
  CrashResult result;
  CrashPlan plan;
  plan.base = durable_size_;
  plan.limit = size_;
  const std::size_t cut_page = truncated_to_ / kPageSize;
  bool undone = false;
  if (truncated_to_ < durable_size_) {
    undone = policy.allows(PowerLossEffect::truncation_undone) && (policy.lose_all() || (draw() & 1) != 0);
    // A truncation that happened is a matter of the file's map: the freed blocks are gone, what was written after it is
    // as any other new data. One that did not brings back the old tail and nothing of what was written after it.
    if (!undone) plan.base = truncated_to_;
    if (undone) plan.limit = durable_size_;
  }
  const bool pending = undone || plan.base != size_ || truncated_to_ < durable_size_;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const bool differs =
        slots_[i].dirty || slots_[i].syncing || slots_[i].cache != slots_[i].durable || page_differs(i, plan.base);
    if (differs && (!undone || i < cut_page)) plan.open.push_back(i);
  }
  if (!pending && plan.open.empty()) return result;
  plan_pages(plan, policy, draw);
  if (undone) {
    plan.effects = (plan.open.empty() ? 0 : plan.effects) | bit(PowerLossEffect::truncation_undone);
    plan.final_size = durable_size_;
    for (std::size_t i = cut_page; i < slots_.size(); ++i) {
      plan.open.push_back(i);
      plan.fate.push_back(PageFate::old_bytes);
    }
  }
  settle(plan, result);
  result.effects = plan.effects;
  size_ = durable_size_ = plan.final_size;
  slots_.resize((size_ + kPageSize - 1) / kPageSize);
  truncated_to_ = ~std::uint64_t{0};
  gave_up_ = false;
  dirty_low_ = ~std::size_t{0};
  dirty_high_ = 0;
  forget_rot(size_, ~std::uint64_t{0});
  return result;
}

void FileContent::lose_everything() {
  for (Slot& slot : slots_) {
    pool_->drop(slot.cache);
    pool_->drop(slot.durable);
  }
  slots_.clear();
  rot_.clear();
  size_ = durable_size_ = 0;
  truncated_to_ = ~std::uint64_t{0};
  gave_up_ = false;
  dirty_low_ = ~std::size_t{0};
  dirty_high_ = 0;
}

}  // namespace verdict::sim
