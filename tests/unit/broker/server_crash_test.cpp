// A node that dies with requests in its hands leaves nothing of them behind.
#include <array>

#include "protocol/broker/server.h"
#include "protocol/wire/gen/api_versions.h"
#include "tests/unit/sim/machine.h"

namespace verdict::broker {
namespace {

struct Seen {
  std::vector<std::weak_ptr<Exchange>> exchanges;
};

Task<void> serves(Runtime* runtime, void* context) {
  Seen* seen = static_cast<Seen*>(context);
  // Nothing ever ends what comes in, as a long poll without data.
  Server server(*runtime, "TEST", {}, [seen](ExchangePtr exchange) { seen->exchanges.push_back(exchange); });
  const auto listening = server.listen({"", 9000});
  VERDICT_ASSERT(listening.has_value());
  server.serve();
  Signal never(*runtime);
  co_await never.wait();
}

Task<void> asks(Runtime* runtime, void*) {
  std::unique_ptr<Stream> stream;
  const IoResult connected = co_await connect(runtime->network(), {"server", 9000}, stream);
  VERDICT_ASSERT(connected.ok());
  for (std::int32_t correlation = 0; correlation < 3; ++correlation) {
    const auto frame = *wire::encode_request(
        3, correlation, "test", wire::ApiVersionsRequest{.client_software_name = "a", .client_software_version = "1"});
    const std::array<ConstBuffer, 1> buffer{ConstBuffer{frame.data(), frame.size()}};
    const IoResult written = co_await write_all(*stream, buffer);
    VERDICT_ASSERT(written.ok());
  }
  Signal never(*runtime);
  co_await never.wait();
}

TEST(ServerCrash, UnansweredRequestsDieWithTheNode) {
  Seen seen;
  sim::World world({});
  const sim::NodeIndex server = world.add_node(sim::testing::node_of("server", serves, &seen));
  const sim::NodeIndex client = world.add_node(sim::testing::node_of("client", asks));
  world.start(server);
  world.start(client);
  world.run_for(1s);
  ASSERT_EQ(seen.exchanges.size(), 3U);
  for (const auto& exchange : seen.exchanges) EXPECT_FALSE(exchange.expired());
  world.kill(server);
  world.run_for(1s);
  for (const auto& exchange : seen.exchanges) EXPECT_TRUE(exchange.expired());
}

}  // namespace
}  // namespace verdict::broker
