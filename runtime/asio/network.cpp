#include "runtime/asio/network.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "runtime/asio/stream.h"

namespace verdict::real {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};
using Addresses = std::vector<Address>;

class ResolverCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "resolver"; }
  std::string message(int code) const override { return ::gai_strerror(code); }
};

std::error_code resolver_error(int code) {
  static const ResolverCategory category;
  return code == EAI_SYSTEM ? last_error() : std::error_code(code, category);
}

Outcome<Addresses> look_up(const char* host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(host, std::to_string(port).c_str(), &hints, &list);
  if (code != 0) return std::unexpected(resolver_error(code));
  Addresses found;
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    Address address;
    std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
    address.size = each->ai_addrlen;
    found.push_back(address);
  }
  ::freeaddrinfo(list);
  return found;
}

// Without waiting for a name server, or nothing.
std::optional<Addresses> look_up_inline(const Endpoint& at) {
  if (at.host == "localhost") {
    Addresses both = look_up("127.0.0.1", at.port, AI_NUMERICHOST).value_or(Addresses{});
    const Addresses six = look_up("::1", at.port, AI_NUMERICHOST).value_or(Addresses{});
    both.insert(both.end(), six.begin(), six.end());
    return both;
  }
  auto found = look_up(at.host.c_str(), at.port, AI_NUMERICHOST);
  if (!found) return std::nullopt;
  return std::move(*found);
}

Endpoint endpoint_of(const Address& address) {
  char host[NI_MAXHOST] = "";
  char port[NI_MAXSERV] = "0";
  ::getnameinfo(address.get(), address.size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  return {host, static_cast<std::uint16_t>(std::strtoul(port, nullptr, 10))};
}

std::string name_of(const Address& address) {
  const Endpoint at = endpoint_of(address);
  const bool six = at.host.find(':') != std::string::npos;
  return (six ? "[" + at.host + "]" : at.host) + ":" + std::to_string(at.port);
}

using GetName = int (*)(int, sockaddr*, socklen_t*);
Address address_by(GetName get_name, int descriptor) {
  Address address;
  address.size = sizeof address.storage;
  if (get_name(descriptor, address.get(), &address.size) != 0) address.size = 0;
  return address;
}

void set_option(int descriptor, int level, int option, int value) {
  ::setsockopt(descriptor, level, option, &value, sizeof value);
}

Outcome<std::unique_ptr<Stream>> make_stream(Loop& loop, Watch& watch) {
  set_option(watch.descriptor(), IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(watch.descriptor(), SOL_SOCKET, SO_KEEPALIVE, 1);
  return std::make_unique<RealStream>(loop, watch, name_of(address_by(&::getpeername, watch.descriptor())));
}

class RealListener final : public Listener, private Driver, private Watch::Client {
 public:
  RealListener(Loop& loop, Watch& watch, Endpoint local) : loop_(loop), watch_(&watch), local_(std::move(local)) {
    watch.set_client(*this);
    ++loop_.users;
  }
  ~RealListener() override {
    VERDICT_ASSERT(op_ == nullptr, "a listener died with an accept in flight");
    close();
    --loop_.users;
  }

  bool accept(Op& op, std::unique_ptr<Stream>& into) override {
    VERDICT_ASSERT(op_ == nullptr);
    if (watch_ == nullptr) return loop_.finish(op, 0, errno_code(EBADF));
    std::error_code error;
    if (try_accept(into, error)) return loop_.finish(op, 0, error);
    op_ = &op;
    into_ = &into;
    op.owner = static_cast<Driver*>(this);
    watch_->arm_read();
    return false;
  }
  void close() override {
    if (watch_ == nullptr) return;
    if (op_ != nullptr) cancel(*op_);
    std::exchange(watch_, nullptr)->close();
  }
  Endpoint local() const override { return local_; }

 private:
  void cancel(Op& op) override {
    if (&op != op_) return;
    op_ = nullptr;
    loop_.defer(op, 0, canceled_error());
  }
  // False if there is nothing to accept. EMFILE and the like are the caller's to handle.
  bool try_accept(std::unique_ptr<Stream>& into, std::error_code& error) {
    for (;;) {
      const int descriptor = ::accept4(watch_->descriptor(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor >= 0) {
        const auto watch = loop_.poller.watch(descriptor, nullptr);
        if (watch) {
          into = *make_stream(loop_, **watch);
        } else {
          error = watch.error();
        }
        return true;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
      // These are the fault of the connection that was to be accepted (accept(2)).
      const int broken[] = {EINTR,     ECONNABORTED, EPROTO,       ENETDOWN,   ENOPROTOOPT,
                            EHOSTDOWN, ENONET,       EHOSTUNREACH, ENETUNREACH};
      if (std::find(std::begin(broken), std::end(broken), errno) != std::end(broken)) continue;
      error = last_error();
      return true;
    }
  }
  void on_readable() override {
    if (op_ == nullptr) return;
    std::error_code error;
    if (!try_accept(*into_, error)) {
      watch_->arm_read();
      return;
    }
    loop_.complete(*std::exchange(op_, nullptr), 0, error);
  }
  void on_writable() override {}

  Loop& loop_;
  Watch* watch_;
  const Endpoint local_;
  Op* op_ = nullptr;
  std::unique_ptr<Stream>* into_ = nullptr;
};

// One connect: look-up, then each address until one answers. Deletes itself when it is through.
class Connecting final : private Driver, private Watch::Client {
 public:
  Connecting(Loop& loop, Endpoint to, std::unique_ptr<Stream>& into) : loop_(loop), to_(std::move(to)), into_(&into) {
    ++loop_.users;
  }

  bool start(Op& op) {
    op.owner = static_cast<Driver*>(this);
    op_ = &op;
    if (auto addresses = look_up_inline(to_)) {
      addresses_ = std::move(*addresses);
      if (!attempt()) return false;
      // Through the queue also when it is known at once: nothing waits for a connect inline.
      deliver_deferred();
      return false;
    }
    look_up_op_.connecting = this;
    look_up_op_.complete = [](Op* done) { static_cast<LookUpOp*>(done)->connecting->looked_up(); };
    loop_.workers.submit(look_up_op_, look_up_op_.work);
    return false;
  }

 private:
  struct LookUpOp : Op {
    Connecting* connecting = nullptr;
    struct Work final : WorkDriver {
      void run(Op& op) noexcept override {
        Connecting& self = *static_cast<LookUpOp&>(op).connecting;
        auto found = look_up(self.to_.host.c_str(), self.to_.port, AI_ADDRCONFIG);
        op.error = found ? std::error_code{} : found.error();
        if (found) self.addresses_ = std::move(*found);
      }
    } work;
  };

  ~Connecting() {
    if (watch_ != nullptr) watch_->close();
    --loop_.users;
  }

  void looked_up() {
    if (op_ == nullptr) {  // canceled meanwhile
      --loop_.orphans;
      delete this;
      return;
    }
    error_ = look_up_op_.error;
    if (error_ || attempt()) deliver();
  }

  // Starts on the next addresses until one is under way. True if it is decided: watch_, or null and error_.
  bool attempt() {
    while (next_ < addresses_.size()) {
      const Address& address = addresses_[next_++];
      const int descriptor = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (descriptor < 0) {
        error_ = last_error();
        continue;
      }
      const int outcome = ::connect(descriptor, address.get(), address.size) == 0 ? 0 : errno;
      if (outcome != 0 && outcome != EINPROGRESS && outcome != EINTR) {
        error_ = errno_code(outcome);
        ::close(descriptor);
        continue;
      }
      auto watch = loop_.poller.watch(descriptor, this);
      if (!watch) {
        error_ = watch.error();
        continue;
      }
      watch_ = *watch;
      if (outcome != 0) {
        watch_->arm_write();
        return false;
      }
      if (check()) return true;
    }
    return true;
  }

  // Whether watch_ is connected; closes it if not.
  bool check() {
    int code = 0;
    socklen_t size = sizeof code;
    ::getsockopt(watch_->descriptor(), SOL_SOCKET, SO_ERROR, &code, &size);
    if (code == 0) {
      // A connect to a free port of the ephemeral range may meet itself.
      const Address local = address_by(&::getsockname, watch_->descriptor());
      const Address peer = address_by(&::getpeername, watch_->descriptor());
      if (peer.size == 0) code = ENOTCONN;
      if (peer.size != 0 && endpoint_of(local) == endpoint_of(peer)) code = ECONNREFUSED;
    }
    error_ = code == 0 ? std::error_code{} : errno_code(code);
    if (code != 0) std::exchange(watch_, nullptr)->close();
    return code == 0;
  }

  void on_writable() override {
    if (check() || attempt()) deliver();
  }
  void on_readable() override {}

  void take_stream() {
    if (watch_ != nullptr) *into_ = *make_stream(loop_, *std::exchange(watch_, nullptr));
  }
  void deliver() {
    take_stream();
    Op& op = *op_;
    Loop& loop = loop_;
    const std::error_code error = error_;
    delete this;
    loop.complete(op, 0, error);
  }
  void deliver_deferred() {
    take_stream();
    loop_.defer(*op_, 0, error_);
    delete this;
  }

  void cancel(Op& op) override {
    loop_.defer(op, 0, canceled_error());
    op_ = nullptr;
    if (look_up_op_.owner == nullptr) {
      delete this;
    } else {
      ++loop_.orphans;
    }
  }

  Loop& loop_;
  const Endpoint to_;
  std::unique_ptr<Stream>* into_;
  Op* op_ = nullptr;
  Addresses addresses_;
  std::size_t next_ = 0;
  std::error_code error_;
  Watch* watch_ = nullptr;
  LookUpOp look_up_op_;
};

Outcome<int> open_listening(const Address& address, int backlog) {
  const int descriptor = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return std::unexpected(last_error());
  set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.storage.ss_family == AF_INET6) set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (::bind(descriptor, address.get(), address.size) != 0 || ::listen(descriptor, backlog) != 0) {
    const auto error = last_error();
    ::close(descriptor);
    return std::unexpected(error);
  }
  return descriptor;
}

}  // namespace

Outcome<std::unique_ptr<Listener>> RealNetwork::listen(const Endpoint& at, int backlog) {
  Outcome<Addresses> addresses = std::unexpected(std::error_code{});
  if (at.host.empty()) {
    addresses = look_up("::", at.port, AI_NUMERICHOST | AI_PASSIVE);
    const auto four = look_up("0.0.0.0", at.port, AI_NUMERICHOST | AI_PASSIVE);
    if (!addresses)
      addresses = four;
    else if (four)
      addresses->insert(addresses->end(), four->begin(), four->end());
  } else if (auto found = look_up_inline(at)) {
    addresses = std::move(*found);
  } else {
    addresses = look_up(at.host.c_str(), at.port, AI_PASSIVE);
  }
  if (!addresses) return std::unexpected(addresses.error());
  Outcome<int> descriptor = std::unexpected(errno_code(EADDRNOTAVAIL));
  for (const Address& address : *addresses) {
    descriptor = open_listening(address, backlog);
    // A machine without IPv6 listens at the IPv4 address that follows; a port in use is an answer.
    if (descriptor || descriptor.error() == std::errc::address_in_use) break;
  }
  if (!descriptor) return std::unexpected(descriptor.error());
  Endpoint local = endpoint_of(address_by(&::getsockname, *descriptor));
  const auto watch = loop_.poller.watch(*descriptor, nullptr);
  if (!watch) return std::unexpected(watch.error());
  return std::make_unique<RealListener>(loop_, **watch, std::move(local));
}

bool RealNetwork::connect(Op& op, const Endpoint& to, std::unique_ptr<Stream>& into) {
  return (new Connecting(loop_, to, into))->start(op);
}

}  // namespace verdict::real
