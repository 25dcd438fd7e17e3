#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

namespace verdict::wire {

// Bump allocator for the arrays of messages: nothing is freed before reset() or destruction, nothing is destroyed, so
// it holds trivial types only. Moving an arena keeps its addresses.
class Arena {
 public:
  static constexpr std::size_t kDefaultLimitBytes = std::size_t{1} << 30;

  explicit Arena(std::size_t limit_bytes = kDefaultLimitBytes) : limit_bytes_(limit_bytes) {}
  Arena(Arena&&) noexcept;
  Arena& operator=(Arena&&) noexcept;
  ~Arena() { release(newest_); }

  // Null if it would exceed the limit; zero bytes never do.
  void* try_allocate(std::size_t bytes, std::size_t alignment) {
    const std::size_t start = (cursor_ + alignment - 1) & ~(alignment - 1);
    if (start < cursor_ || start > end_ || bytes > end_ - start) {
      return allocate_slow(bytes, alignment);
    }
    used_bytes_ += start - cursor_ + bytes;
    cursor_ = start + bytes;
    return reinterpret_cast<void*>(start);
  }

  // For builders: n elements with their defaults. Exceeding the limit is a bug of the caller.
  template <class T>
  std::span<T> make_span(std::size_t n) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    T* first = static_cast<T*>(allocate_array(n, sizeof(T), alignof(T)));
    std::uninitialized_value_construct_n(first, n);
    return {first, n};
  }
  template <class T>
  std::span<T> copy_span(std::span<const T> from) {
    const std::span<T> to = make_span<T>(from.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      to[i] = from[i];
    }
    return to;
  }
  std::string_view copy(std::string_view text);
  std::span<const std::byte> copy(std::span<const std::byte> bytes);

  // Forgets everything but the largest chunk.
  void reset();
  std::size_t used_bytes() const { return used_bytes_; }          // handed out since reset, padding included
  std::size_t reserved_bytes() const { return reserved_bytes_; }  // taken from the heap

 private:
  struct alignas(std::max_align_t) Chunk {  // `size` bytes follow it
    Chunk* older;
    std::size_t size;
  };
  void* allocate_slow(std::size_t bytes, std::size_t alignment);
  void* allocate_array(std::size_t n, std::size_t size, std::size_t alignment);  // asserts
  void use(Chunk& chunk);
  static void release(Chunk* newest) noexcept;

  // An empty chunk at an aligned address that is not null: zero bytes have a place without memory.
  static constexpr std::uintptr_t kNowhere = alignof(std::max_align_t);

  std::uintptr_t cursor_ = kNowhere;
  std::uintptr_t end_ = kNowhere;
  std::size_t used_bytes_ = 0;
  std::size_t reserved_bytes_ = 0;
  std::size_t limit_bytes_;
  Chunk* newest_ = nullptr;
};

}  // namespace verdict::wire
