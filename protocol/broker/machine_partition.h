#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <variant>

#include "protocol/broker/coordinator_partition.h"

namespace verdict::broker {

// The part of a coordinator's shell that all kinds of machines have: requests wait under a token for their answer, an
// event's effects are carried out in their order. Derived has a run(..) for each of the machine's effects, and calls
// respond() for an answer.
template <class Derived, class Machine, class Effects, class Response>
class MachinePartition : public CoordinatorPartition {
 public:
  using Token = std::uint64_t;
  using Answer = std::function<void(std::expected<Response, ErrorCode>)>;  // or why there is none

  // One event that a request makes; `make` gets the token that the answer will come under.
  template <class Make>
  void ask(Make make, Answer answer) {
    const Token token = ++tokens_;
    open_.emplace(token, std::move(answer));
    step(make(token));
  }

 protected:
  template <class Options>
  MachinePartition(Context context, PartitionPtr partition, LeaderEpoch epoch, Options options,
                   protocol::Observer* observer)
      : CoordinatorPartition(std::move(context), std::move(partition), epoch), machine_(std::move(options), observer) {}

  template <class Event>
  void step(const Event& event) {
    Effects effects;
    machine_.step(event, runtime().now(), runtime().wall_now(), effects);
    carry_out(effects);
  }

  // What came of an effect at once. Effects are carried out to their end before the next event: of two timers that they
  // arm the later one is the younger.
  template <class Event>
  void step_after(Event event) {
    if (!carrying_out_) return step(event);
    later_.push_back([this, event = std::move(event)] {
      if (state() == State::active) step(event);
    });
  }

  void respond(Token token, Response response) {
    const auto held = std::make_shared<Response>(std::move(response));
    when_committed([this, token, held] {
      const auto at = open_.find(token);
      if (at == open_.end()) return;
      const Answer answer = std::move(at->second);
      open_.erase(at);
      answer(std::move(*held));
    });
  }

  Machine& machine() { return machine_; }

 private:
  void loaded() final {
    Effects effects;
    machine_.loaded(runtime().now(), runtime().wall_now(), effects);
    carry_out(effects);
  }

  void answer_open(ErrorCode error) final {
    for (auto& [token, answer] : std::exchange(open_, {})) answer(std::unexpected(error));
  }

  void carry_out(Effects& effects) {
    for (const Mark mark : effects.marks) runtime().mark(mark);
    const bool inside = std::exchange(carrying_out_, true);
    for (auto& effect : effects.list)
      std::visit([this](auto& what) { static_cast<Derived*>(this)->run(std::move(what)); }, effect);
    if (inside) return;
    carrying_out_ = false;
    while (!later_.empty()) {
      const std::function<void()> next = std::move(later_.front());
      later_.pop_front();
      next();
    }
  }

  Machine machine_;
  bool carrying_out_ = false;
  std::deque<std::function<void()>> later_;
  Token tokens_ = 0;
  std::map<Token, Answer> open_;
};

}  // namespace verdict::broker
