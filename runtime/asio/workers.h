#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/asio/op_list.h"

namespace verdict::real {

// Threads for what would block the loop. An operation is lent to a thread between submit and collect; nothing else may
// touch it then.
class Workers {
 public:
  Workers(unsigned threads, std::function<void()> wake) : limit_(threads), wake_(std::move(wake)) {}
  ~Workers();

  void submit(Op& op, WorkDriver& driver);
  // Moves what is done to `into`, after WorkDriver::returned. True if there was any.
  bool collect(OpList& into, Driver& next_owner);
  std::size_t in_flight() const { return in_flight_; }

 private:
  void work(std::stop_token stop);

  const unsigned limit_;
  const std::function<void()> wake_;
  std::size_t in_flight_ = 0;  // of the loop's thread
  std::atomic<bool> any_done_ = false;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  OpList waiting_;
  OpList done_;
  unsigned idle_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace verdict::real
