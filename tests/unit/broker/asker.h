#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "protocol/client/rpc.h"
#include "runtime/scope.h"
#include "sim/cluster.h"
#include "tests/unit/sim/add_process.h"

namespace verdict::broker {

// A client machine that sends single requests to brokers, between one run of the world and the next.
class Asker {
 public:
  explicit Asker(sim::World& world) : world_(world), index_(sim::testing::add_process(world, "asker", process_)) {}
  sim::NodeIndex index() const { return index_; }

  template <class Response, class Request>
  struct Sent {
    wire::Message<Request> request;
    bool done = false;
    std::optional<wire::Message<Response>> answer;  // none: not within 5 s
  };
  // What is sent next goes behind it, on the same connection. It leaves as the world runs.
  template <wire::WireMessage Response, wire::WireMessage Request>
  std::shared_ptr<Sent<Response, Request>> send(int broker, int version, const Request& request) {
    auto sent = std::make_shared<Sent<Response, Request>>(wire::Message<Request>::copy(request));
    world_.after(1us, [=, this] { process_->scope.spawn(call<Response, Request>(process_, broker, version, sent)); });
    return sent;
  }
  template <wire::WireMessage Response, wire::WireMessage Request>
  std::optional<wire::Message<Response>> ask(int broker, int version, const Request& request) {
    return await(*send<Response>(broker, version, request));
  }
  template <class Response, class Request>
  std::optional<wire::Message<Response>> await(Sent<Response, Request>& sent) {
    world_.run_until([&] { return sent.done; }, world_.now() + 10s);
    return std::move(sent.answer);
  }

 private:
  struct Process final : sim::Process {
    explicit Process(Runtime& of) : runtime(of), scope(of) {}
    client::RpcChannel& to(int broker) {
      auto& channel = channels[broker];
      if (channel == nullptr) {
        const Endpoint at{.host = "broker-" + std::to_string(broker), .port = sim::kBrokerPort};
        channel = std::make_unique<client::RpcChannel>(runtime, at, client::RpcOptions{.client_id = "asker"});
      }
      return *channel;
    }
    Runtime& runtime;
    std::map<int, std::unique_ptr<client::RpcChannel>> channels;
    Scope scope;
  };

  template <class Response, class Request>
  static Task<void> call(Process* process, int broker, int version, std::shared_ptr<Sent<Response, Request>> sent) {
    const MonoTime deadline = process->runtime.now() + 5s;
    auto answer = co_await process->to(broker).call<Response>(version, sent->request.value, deadline);
    if (answer) sent->answer = std::move(*answer);
    sent->done = true;
  }

  sim::World& world_;
  Process* process_ = nullptr;
  sim::NodeIndex index_;
};

}  // namespace verdict::broker
