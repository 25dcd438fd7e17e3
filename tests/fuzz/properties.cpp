// Any bytes as server.properties: problems, each with its line, or a configuration whose getters all answer.
#include "protocol/config_keys.h"
#include "runtime/assert.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using verdict::protocol::BrokerConfig;
  const auto loaded = BrokerConfig::parse(verdict::fuzz::text_of(data, size), "fuzz.properties");
  if (!loaded) {
    VERDICT_ASSERT(!loaded.error().empty(), "refused without a word");
    for (const auto& problem : loaded.error()) VERDICT_ASSERT(!problem.text.empty(), "refused without a word");
    return 0;
  }
  const BrokerConfig& config = loaded->config;
  (void)config.node_id();
  (void)config.is_broker();
  (void)config.log_dirs();
  (void)config.listeners();
  (void)config.advertised_listeners();
  (void)config.controller_listeners();
  (void)config.quorum_voters();
  return 0;
}
