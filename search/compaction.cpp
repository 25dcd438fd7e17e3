// Compacted topics in a drawn scenario: keys, tombstones, small segments, and a cleaner that is always at work.
#include <algorithm>

#include "search/conditions.h"
#include "search/maker.h"

namespace verdict::search {
namespace {

constexpr std::int32_t kCompacted = 12;  // share of runs that have such a topic

}  // namespace

// The last of all draws: what a seed drew before it had compaction it draws still.
void Maker::compaction() {
  if (!share(kCompacted)) return;
  scenario_.cluster.config["log.cleaner.backoff.ms"] = std::to_string(one_of({10, 50, 200}));
  const std::int64_t keys = one_of({2, 5, 20});
  const bool numbers = share(50);
  bool any = false;
  for (scenarios::TopicSpec& topic : scenario_.topics) {
    if (any && !share(50)) continue;
    any = true;
    topic.config["cleanup.policy"] = share(80) ? "compact" : "compact,delete";
    topic.config["internal.segment.bytes"] = std::to_string(one_of({600, 2'000, 10'000}));
    topic.config["min.cleanable.dirty.ratio"] = share(50) ? "0.01" : "0.3";
    auto& loads = scenario_.workload.producers;
    const auto in_transactions = [&](const ProducerSpec& load) {
      return load.transactional && load.topic == topic.name;
    };
    bool transactional = std::ranges::any_of(loads, in_transactions);
    for (ProducerSpec& load : loads) {
      if (load.topic != topic.name) continue;
      load.keys = static_cast<std::int32_t>(keys);
      if (numbers) load.key_form = "number";
      if (share(50)) load.tombstone_one_in = static_cast<std::int32_t>(within(2, 10));
      if (transactional || load.idempotent || !share(50)) continue;
      transactional = load.transactional = true;
      load.acks = "all";
      load.in_flight = std::min(load.in_flight, 5);
      load.retries = ProducerSpec().retries;
      load.abort_one_in = static_cast<std::int32_t>(one_of({2, 4}));
    }
    for (scenarios::ConsumerSpec& reader : scenario_.workload.consumers) {
      if (reader.topic == topic.name && share(50)) reader.isolation = "read_committed";
    }
    // Who is away for longer than that may miss a marker, as in Kafka: not with transactions.
    if (!transactional && share(50)) topic.config["delete.retention.ms"] = std::to_string(one_of({200, 2'000}));
    // A transaction that stands open for a while.
    if (!transactional || !share(60)) continue;
    FaultSpec& pause = add("pause");
    pause.at_ms = moment(50);
    pause.target = client(std::ranges::find_if(loads, in_transactions)->client);
    pause.for_ms = within(200, 2'000);
  }
}

}  // namespace verdict::search
