#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "runtime/assert.h"

namespace verdict::sim {

// A queue in a circular buffer that only grows.
template <class T>
class Ring {
 public:
  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }
  T& front() { return items_[head_]; }
  T& operator[](std::size_t i) { return items_[(head_ + i) & (items_.size() - 1)]; }
  T& back() { return (*this)[count_ - 1]; }
  void push(const T& item) {
    if (count_ == items_.size()) grow();
    items_[(head_ + count_++) & (items_.size() - 1)] = item;
  }
  void pop() {
    VERDICT_ASSERT(count_ != 0);
    head_ = (head_ + 1) & (items_.size() - 1);
    --count_;
  }
  void clear() { head_ = count_ = 0; }

 private:
  void grow() {
    std::vector<T> bigger(std::max<std::size_t>(4, items_.size() * 2));
    for (std::size_t i = 0; i < count_; ++i) bigger[i] = (*this)[i];
    items_.swap(bigger);
    head_ = 0;
  }
  std::vector<T> items_;
  std::size_t head_ = 0;
  std::size_t count_ = 0;
};

// Bytes of a stream by their position in it, from the first unread one to the last written one.
class ByteRing {
 public:
  void append(std::uint64_t position, const std::byte* data, std::size_t size, std::uint64_t first) {
    if (size == 0) return;
    const std::size_t held = static_cast<std::size_t>(position - first);
    if (held + size > bytes_.size()) grow(held + size, first, held);
    const std::size_t at = position & (bytes_.size() - 1);
    const std::size_t n = std::min(size, bytes_.size() - at);
    std::memcpy(bytes_.data() + at, data, n);
    if (n < size) std::memcpy(bytes_.data(), data + n, size - n);
  }
  void copy(std::uint64_t position, std::span<std::byte> into) const {
    if (into.empty()) return;
    const std::size_t at = position & (bytes_.size() - 1);
    const std::size_t n = std::min(into.size(), bytes_.size() - at);
    std::memcpy(into.data(), bytes_.data() + at, n);
    if (n < into.size()) std::memcpy(into.data() + n, bytes_.data(), into.size() - n);
  }
  void shrink() {  // nothing is held
    if (bytes_.size() > kKeep) std::vector<std::byte>().swap(bytes_);
  }

 private:
  static constexpr std::size_t kFirst = 512;
  static constexpr std::size_t kKeep = 65536;
  void grow(std::size_t wanted, std::uint64_t first, std::size_t held) {
    std::size_t size = std::max(kFirst, bytes_.size());
    while (size < wanted) size *= 2;
    std::vector<std::byte> bigger(size);
    for (std::uint64_t at = first; at < first + held;) {  // as far as neither ring wraps
      const std::size_t from = at & (bytes_.size() - 1);
      const std::size_t to = at & (size - 1);
      const std::size_t left = static_cast<std::size_t>(first + held - at);
      const std::size_t n = std::min({left, bytes_.size() - from, size - to});
      std::memcpy(bigger.data() + to, bytes_.data() + from, n);
      at += n;
    }
    bytes_.swap(bigger);
  }
  std::vector<std::byte> bytes_;
};

}  // namespace verdict::sim
