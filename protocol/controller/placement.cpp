#include "protocol/controller/placement.h"

#include <map>
#include <optional>
#include <utility>

#include "runtime/random.h"

namespace verdict::controller {
namespace {

// Brokers of one rack and one state, handed out in a ring whose start moves on with every partition.
class Ring {
 public:
  void add(NodeId id) { ids_.push_back(id); }
  void start(KeyedRandom& random) {
    offset_ = ids_.empty() ? 0 : random.below(ids_.size());
    epoch_ = 0;
    index_ = 0;
  }
  std::optional<NodeId> next(std::uint64_t epoch) {
    if (ids_.empty()) {
      return std::nullopt;
    }
    if (epoch_ != epoch) {
      epoch_ = epoch;
      index_ = 0;
      offset_ = (offset_ + 1) % ids_.size();
    }
    if (index_ >= ids_.size()) {
      return std::nullopt;
    }
    return ids_[(offset_ + index_++) % ids_.size()];
  }
  std::size_t size() const { return ids_.size(); }

 private:
  std::vector<NodeId> ids_;
  std::uint64_t epoch_ = 0;
  std::size_t offset_ = 0;
  std::size_t index_ = 0;
};

struct Rack {
  Ring unfenced;
  Ring fenced;
  std::optional<NodeId> next(std::uint64_t epoch) {
    const auto found = unfenced.next(epoch);
    return found ? found : fenced.next(epoch);
  }
};

class Racks {
 public:
  Racks(const protocol::MetadataImage& image, std::uint64_t random) : random_(random) {
    std::map<std::string, Rack> by_name;  // "" and no rack are one
    for (const auto& [id, broker] : image.brokers()) {
      if (broker.in_controlled_shutdown) {
        continue;
      }
      Rack& rack = by_name[broker.rack.value_or("")];
      (broker.fenced ? rack.fenced : rack.unfenced).add(id);
      ++total_;
      unfenced_ += broker.fenced ? 0 : 1;
    }
    for (auto& [name, rack] : by_name) {
      racks_.push_back(std::move(rack));
    }
    shuffle();
  }
  std::size_t total() const { return total_; }
  std::size_t unfenced() const { return unfenced_; }

  // Needs an unfenced broker, and as many brokers as replicas.
  NodeIds place(std::int16_t replicas) {
    if (epoch_ == unfenced_ && unfenced_ > 1) {  // every leader was used: begin elsewhere, or the pattern repeats
      shuffle();
      epoch_ = 0;
    }
    offset_ %= racks_.size();
    NodeIds out;
    std::size_t first_rack = offset_;
    for (std::optional<NodeId> leader; out.empty(); first_rack = (first_rack + 1) % racks_.size()) {
      if ((leader = racks_[first_rack].unfenced.next(epoch_))) {
        out.push_back(*leader);
        break;
      }
    }
    bool skip_first = true;  // the leader's rack has had its turn in the first round
    std::size_t rack = offset_;
    while (std::ssize(out) < replicas) {
      if (skip_first && rack == first_rack) {
        skip_first = false;
      } else if (const auto id = racks_[rack].next(epoch_)) {
        out.push_back(*id);
      }
      rack = (rack + 1) % racks_.size();
    }
    ++epoch_;
    ++offset_;
    return out;
  }

 private:
  void shuffle() {
    for (std::size_t i = racks_.size(); i > 1; --i) {
      std::swap(racks_[i - 1], racks_[random_.below(i)]);
    }
    for (Rack& rack : racks_) {
      rack.fenced.start(random_);
      rack.unfenced.start(random_);
    }
  }

  KeyedRandom random_;
  std::vector<Rack> racks_;
  std::size_t total_ = 0;
  std::size_t unfenced_ = 0;
  std::uint64_t epoch_ = 0;
  std::size_t offset_ = 0;
};

}  // namespace

std::expected<std::vector<NodeIds>, std::string> place_replicas(const protocol::MetadataImage& image,
                                                                std::int32_t partitions,
                                                                std::int16_t replication_factor, std::uint64_t random) {
  Racks racks(image, random);
  if (racks.unfenced() == 0) {
    return std::unexpected(std::string("All brokers are currently fenced."));
  }
  if (static_cast<std::size_t>(replication_factor) > racks.total()) {
    return std::unexpected("The target replication factor of " + std::to_string(replication_factor) +
                           " cannot be reached because only " + std::to_string(racks.total()) +
                           " broker(s) are registered.");
  }
  std::vector<NodeIds> out;
  out.reserve(static_cast<std::size_t>(partitions));
  for (std::int32_t i = 0; i < partitions; ++i) {
    out.push_back(racks.place(replication_factor));
  }
  return out;
}

}  // namespace verdict::controller
