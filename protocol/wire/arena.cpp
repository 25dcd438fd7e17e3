#include "protocol/wire/arena.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "runtime/assert.h"

namespace verdict::wire {
namespace {

constexpr std::size_t kFirstChunkBytes = 1024;
constexpr std::size_t kLargestGrowthBytes = std::size_t{1} << 20;

}  // namespace

Arena::Arena(Arena&& other) noexcept
    : cursor_(std::exchange(other.cursor_, kNowhere)),
      end_(std::exchange(other.end_, kNowhere)),
      used_bytes_(std::exchange(other.used_bytes_, 0)),
      reserved_bytes_(std::exchange(other.reserved_bytes_, 0)),
      limit_bytes_(other.limit_bytes_),
      chunks_(std::move(other.chunks_)) {
  other.chunks_.clear();
}

Arena& Arena::operator=(Arena&& other) noexcept {
  if (this != &other) {
    cursor_ = std::exchange(other.cursor_, kNowhere);
    end_ = std::exchange(other.end_, kNowhere);
    used_bytes_ = std::exchange(other.used_bytes_, 0);
    reserved_bytes_ = std::exchange(other.reserved_bytes_, 0);
    limit_bytes_ = other.limit_bytes_;
    chunks_ = std::move(other.chunks_);
    other.chunks_.clear();
  }
  return *this;
}

void Arena::use(const Chunk& chunk) {
  cursor_ = reinterpret_cast<std::uintptr_t>(chunk.memory.get());
  end_ = cursor_ + chunk.size;
}

void* Arena::allocate_slow(std::size_t bytes, std::size_t alignment) {
  // operator new[] aligns for every fundamental type, so a fresh chunk needs no padding.
  VERDICT_ASSERT(alignment <= alignof(std::max_align_t));
  if (bytes > limit_bytes_ || reserved_bytes_ > limit_bytes_ - bytes) {
    return nullptr;
  }
  const std::size_t growth = std::clamp(reserved_bytes_, kFirstChunkBytes, kLargestGrowthBytes);
  const std::size_t size = std::max(bytes, std::min(growth, limit_bytes_ - reserved_bytes_));
  chunks_.push_back({std::make_unique_for_overwrite<std::byte[]>(size), size});
  reserved_bytes_ += size;
  use(chunks_.back());
  void* start = chunks_.back().memory.get();
  cursor_ += bytes;
  used_bytes_ += bytes;
  return start;
}

void* Arena::allocate_array(std::size_t n, std::size_t size, std::size_t alignment) {
  VERDICT_ASSERT(n <= std::numeric_limits<std::size_t>::max() / size);
  void* start = try_allocate(n * size, alignment);
  VERDICT_ASSERT(start != nullptr, "an arena's limit");
  return start;
}

std::string_view Arena::copy(std::string_view text) {
  char* to = static_cast<char*>(allocate_array(text.size(), 1, 1));
  std::copy(text.begin(), text.end(), to);
  return {to, text.size()};
}

std::span<const std::byte> Arena::copy(std::span<const std::byte> bytes) {
  std::byte* to = static_cast<std::byte*>(allocate_array(bytes.size(), 1, 1));
  std::copy(bytes.begin(), bytes.end(), to);
  return {to, bytes.size()};
}

void Arena::reset() {
  used_bytes_ = 0;
  if (chunks_.empty()) {
    return;
  }
  const auto largest =
      std::max_element(chunks_.begin(), chunks_.end(), [](const Chunk& a, const Chunk& b) { return a.size < b.size; });
  std::swap(*largest, chunks_.front());
  chunks_.resize(1);
  reserved_bytes_ = chunks_.front().size;
  use(chunks_.front());
}

}  // namespace verdict::wire
