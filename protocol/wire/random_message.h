#pragma once

#include <cstdint>

#include "protocol/wire/arena.h"
#include "protocol/wire/descriptor.h"
#include "protocol/wire/message.h"

namespace verdict::wire {

// A source of 64 random bits, borrowed.
class DrawSource {
 public:
  template <class Source>
  DrawSource(Source& source)  // NOLINT: implicit, so that any callable will do
      : state_(&source), next_([](void* state) -> std::uint64_t { return (*static_cast<Source*>(state))(); }) {}
  std::uint64_t operator()() const { return next_(state_); }

 private:
  void* state_;
  std::uint64_t (*next_)(void*);
};

// A value that this version can carry whole, so that encode and decode give it back: extremes, nulls, Unicode, empty
// and filled arrays, tagged fields present and absent. The same draws give the same value.
void random_message(const MessageInfo& info, Arena&, int version, DrawSource draw, void* message);

template <WireMessage T>
T random_message(Arena& arena, int version, DrawSource draw) {
  T message;
  random_message(T::info(), arena, version, draw, &message);
  return message;
}

}  // namespace verdict::wire
