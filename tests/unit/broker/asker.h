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

  // None: no answer within 5 s.
  template <wire::WireMessage Response, wire::WireMessage Request>
  std::optional<wire::Message<Response>> ask(int broker, int version, const Request& request) {
    auto result = std::make_shared<std::optional<wire::Message<Response>>>();
    const wire::Message<Request> kept = wire::Message<Request>::copy(request);
    bool done = false;
    world_.after(
        1us, [&] { process_->scope.spawn(call<Response, Request>(process_, broker, version, &kept, result, &done)); });
    world_.run_until([&] { return done; }, world_.now() + 10s);
    return done ? std::move(*result) : std::nullopt;
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
  static Task<void> call(Process* process, int broker, int version, const wire::Message<Request>* request,
                         std::shared_ptr<std::optional<wire::Message<Response>>> into, bool* done) {
    const MonoTime deadline = process->runtime.now() + 5s;
    auto answer = co_await process->to(broker).call<Response>(version, request->value, deadline);
    if (answer) *into = std::move(*answer);
    *done = true;
  }

  sim::World& world_;
  Process* process_ = nullptr;
  sim::NodeIndex index_;
};

}  // namespace verdict::broker
