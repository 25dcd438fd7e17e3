#include "protocol/controller/election.h"

#include <algorithm>

namespace verdict::controller {
namespace {

struct Elected {
  NodeId leader = kNoNode;
  bool unclean = false;
};

bool includes(const NodeIds& ids, NodeId id) { return std::ranges::find(ids, id) != ids.end(); }

class Electorate {
 public:
  Electorate(const protocol::MetadataImage& image, const protocol::PartitionRegistration& partition,
             const Wanted& wanted)
      : image_(image), partition_(partition), wanted_(wanted), isr_(wanted.isr ? *wanted.isr : partition.isr) {}

  Elected elect(const DefectSet& defects, std::vector<Mark>& marks) const {
    const NodeId preferred = partition_.replicas.empty() ? kNoNode : partition_.replicas.front();
    if (wanted_.election == Election::preferred && eligible(preferred)) {
      return {.leader = preferred};
    }
    if (eligible(partition_.leader)) {
      return {.leader = partition_.leader};
    }
    if (const NodeId clean = first([&](NodeId id) { return eligible(id); }); clean != kNoNode) {
      return {.leader = clean};
    }
    const bool defect = defects.has(Defect::UncleanElection) && wanted_.election != Election::unclean;
    if (wanted_.election != Election::unclean && !defect) {
      return {};
    }
    const NodeId any = first([&](NodeId id) { return acceptable(id); });
    if (any != kNoNode && defect) {
      marks.push_back(Mark::DefectUncleanElection);
    }
    return {.leader = any, .unclean = any != kNoNode};
  }

 private:
  bool acceptable(NodeId id) const {
    return id != kNoNode && id != wanted_.leaving && (id == wanted_.returning || image_.active(id));
  }
  bool eligible(NodeId id) const { return acceptable(id) && includes(isr_, id); }
  template <class Test>
  NodeId first(Test test) const {
    const auto found = std::ranges::find_if(partition_.replicas, test);
    return found == partition_.replicas.end() ? kNoNode : *found;
  }

  const protocol::MetadataImage& image_;
  const protocol::PartitionRegistration& partition_;
  const Wanted& wanted_;
  const NodeIds& isr_;
};

}  // namespace

NodeIds without(const NodeIds& ids, NodeId id) {
  NodeIds out = ids;
  std::erase(out, id);
  return out;
}

std::optional<protocol::records::PartitionChange> decide(const protocol::MetadataImage& image, const PartitionKey& key,
                                                         const protocol::PartitionRegistration& partition,
                                                         const Wanted& wanted, const DefectSet& defects,
                                                         std::vector<Mark>& marks) {
  using protocol::LeaderRecovery;
  protocol::records::PartitionChange change{.key = key};
  const Elected elected = Electorate(image, partition, wanted).elect(defects, marks);
  LeaderRecovery recovery = wanted.recovery.value_or(partition.recovery);
  if (elected.leader != partition.leader) {
    change.leader = elected.leader;
    if (elected.unclean) {  // what it lacks is lost: nobody else may count as in sync with it
      change.isr = NodeIds{elected.leader};
      recovery = LeaderRecovery::recovering;
    }
    if (elected.leader == kNoNode) {
      marks.push_back(Mark::PartitionOffline);
    }
  }
  if (!change.isr && wanted.isr && !wanted.isr->empty() && *wanted.isr != partition.isr) {
    change.isr = wanted.isr;
  }
  if (recovery != partition.recovery) {
    change.recovery = recovery;
  }
  if (!change.isr && !change.leader && !change.recovery) {
    return std::nullopt;
  }
  return change;
}

}  // namespace verdict::controller
