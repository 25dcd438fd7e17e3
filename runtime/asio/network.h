#pragma once

#include "runtime/asio/loop.h"
#include "runtime/runtime.h"

namespace verdict::real {

// Names are looked up inline if they are addresses or "localhost" (127.0.0.1, then ::1), else on a worker; a connect
// tries each address in turn. An empty host to listen at means every interface, IPv6 and IPv4.
class RealNetwork final : public Network {
 public:
  explicit RealNetwork(Loop& loop) : loop_(loop) {}
  Outcome<std::unique_ptr<Listener>> listen(const Endpoint& at, int backlog) override;
  bool connect(Op&, const Endpoint& to, std::unique_ptr<Stream>& into) override;

 private:
  Loop& loop_;
};

}  // namespace verdict::real
