#pragma once

#include <cstddef>
#include <functional>
#include <unordered_map>
#include <utility>

namespace verdict {

// A hash map without an order: what a run does can't come to depend on one, since nothing here walks over the entries.
// Pointers to keys and values stay valid until their entry is erased.
template <class Key, class Value, class Hash = std::hash<Key>>
class LookupMap {
 public:
  struct Found {
    const Key* key = nullptr;
    Value* value = nullptr;
    bool fresh = false;  // made by this try_emplace
  };

  Value* find(const Key& key) {
    const auto at = map_.find(key);
    return at == map_.end() ? nullptr : &at->second;
  }
  const Value* find(const Key& key) const {
    const auto at = map_.find(key);
    return at == map_.end() ? nullptr : &at->second;
  }
  template <class... Args>
  Found try_emplace(Key key, Args&&... args) {
    const auto [at, fresh] = map_.try_emplace(std::move(key), std::forward<Args>(args)...);
    return {&at->first, &at->second, fresh};
  }
  bool erase(const Key& key) { return map_.erase(key) != 0; }
  void clear() { map_.clear(); }
  std::size_t size() const { return map_.size(); }
  bool empty() const { return map_.empty(); }

 private:
  std::unordered_map<Key, Value, Hash> map_;
};

}  // namespace verdict
