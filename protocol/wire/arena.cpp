#include "protocol/wire/arena.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include "runtime/assert.h"
#include "runtime/task.h"

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
      newest_(std::exchange(other.newest_, nullptr)) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  if (this != &other) {
    release(newest_);
    cursor_ = std::exchange(other.cursor_, kNowhere);
    end_ = std::exchange(other.end_, kNowhere);
    used_bytes_ = std::exchange(other.used_bytes_, 0);
    reserved_bytes_ = std::exchange(other.reserved_bytes_, 0);
    limit_bytes_ = other.limit_bytes_;
    newest_ = std::exchange(other.newest_, nullptr);
  }
  return *this;
}

// Chunks come from the pool of frames: most messages need one small chunk, for as long as a frame lives.
void Arena::release(Chunk* newest) noexcept {
  while (newest != nullptr) {
    Chunk* chunk = std::exchange(newest, newest->older);
    release_frame(chunk, sizeof(Chunk) + chunk->size);
  }
}

void Arena::use(Chunk& chunk) {
  cursor_ = reinterpret_cast<std::uintptr_t>(&chunk + 1);
  end_ = cursor_ + chunk.size;
}

void* Arena::allocate_slow(std::size_t bytes, std::size_t alignment) {
  // What follows a chunk's head is aligned for every fundamental type, so a fresh chunk needs no padding.
  VERDICT_ASSERT(alignment <= alignof(std::max_align_t));
  if (bytes > limit_bytes_ || reserved_bytes_ > limit_bytes_ - bytes) {
    return nullptr;
  }
  const std::size_t growth = std::clamp(reserved_bytes_, kFirstChunkBytes - sizeof(Chunk), kLargestGrowthBytes);
  const std::size_t size = std::max(bytes, std::min(growth, limit_bytes_ - reserved_bytes_));
  newest_ = new (allocate_frame(sizeof(Chunk) + size)) Chunk{newest_, size};
  reserved_bytes_ += size;
  use(*newest_);
  void* start = reinterpret_cast<void*>(cursor_);
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
  if (newest_ == nullptr) {
    return;
  }
  Chunk* largest = newest_;
  for (Chunk* chunk = newest_; chunk != nullptr; chunk = chunk->older) {
    if (chunk->size > largest->size) largest = chunk;
  }
  for (Chunk* chunk = std::exchange(newest_, largest); chunk != nullptr;) {
    Chunk* older = chunk->older;
    chunk->older = nullptr;
    if (chunk != largest) release(chunk);
    chunk = older;
  }
  reserved_bytes_ = largest->size;
  use(*largest);
}

}  // namespace verdict::wire
