#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/scenario.h"

// Smaller scenarios of a resolved one. Nothing here asks whether the outcome makes sense: validate() does. nullopt:
// there is no such scenario.
namespace verdict::search {

using Kept = std::vector<bool>;  // one for each element; false: it goes
using Edited = std::optional<scenarios::Scenario>;

// Faults that name one that goes (of(ID), release) go too.
Edited with_faults(const scenarios::Scenario& scenario, const Kept& kept);
// Producers, then consumers; those that stay have numbers of their own. At least one stays. Faults that could hit only
// those that go go too.
Edited with_clients(const scenarios::Scenario& scenario, const Kept& kept);
// Each has one client that does less: transactions without what it consumes, or none.
std::vector<Edited> with_plainer_clients(const scenarios::Scenario& scenario);
// Ids above `id` move down by one. A fault that could hit nobody else goes too.
Edited without_broker(const scenarios::Scenario& scenario, std::int32_t id);
Edited without_topic(const scenarios::Scenario& scenario, std::size_t place);
// Partitions above `index` move down by one.
Edited without_partition(const scenarios::Scenario& scenario, std::size_t topic, std::int32_t index);
// `by_ms` less of everything that happens at `from_ms` after the workload's begin or later, and of the run.
Edited earlier(const scenarios::Scenario& scenario, std::int64_t from_ms, std::int64_t by_ms);

// ---- the scenario as JSON: whatever the format has, new fields included ----

struct Leaf {
  std::string path;  // JSON pointer
  std::optional<std::int64_t> number;
  bool listed = false;  // an element of a list of plain values
};
// Every value that is not as by default, but for what names and describes: version, name, title, description, tags,
// defects, seeds, ids and actions of faults, names of topics, clients' numbers.
std::vector<Leaf> leaves_of(const scenarios::Scenario& scenario);
// Each back to its default, or out of its list. `paths` in leaves_of()'s order.
Edited without_leaves(const scenarios::Scenario& scenario, const std::vector<std::string>& paths);
Edited with_number(const scenarios::Scenario& scenario, const std::string& path, std::int64_t value);

}  // namespace verdict::search
