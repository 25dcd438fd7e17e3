#pragma once

#include <string_view>

#include "tests/unit/checker/cluster.h"

namespace verdict::checker {

// Broker 1 coordinates group g, in epoch 1; broker 2 has a copy. The partition is one of __consumer_offsets.
struct GroupCluster : Cluster {
  GroupCluster() : Cluster({1, 2}) {
    commit(0);
    load(1, 1);
  }
  void load(int broker, int epoch) {
    coordinator = broker, term = epoch;
    event(broker, GroupsLoaded{key, LeaderEpoch(epoch)});
  }
  void member(std::string_view change, std::string_view id, int epoch, std::string_view has = "",
              std::string_view instance = "", std::string_view replaces = "") {
    event(coordinator, GroupMemberMoved{key, "g", epoch, id, instance, change, replaces, has});
  }
  void decide_commit(std::string_view id, int epoch, int error = 0, std::string_view instance = "") {
    event(coordinator,
          GroupCommitDecided{key, "g", id, instance, epoch, kNoProducerId, static_cast<std::int16_t>(error)});
  }
  void fail_over() {  // broker 2 takes over
    stop(1), fence(1, true);
    decide(2, 2, {2});
    lead(2, 2, {2}, ends[2]);
    load(2, 2);
  }

  int coordinator = 1, term = 1;
};

}  // namespace verdict::checker
