#include <algorithm>
#include <utility>

#include "protocol/broker/gather.h"
#include "protocol/broker/group_requests.h"

// Requests that name several groups: each has its coordinator, and the answers are put together.
namespace verdict::broker {
namespace {

constexpr int kGroupsFrom = 8;  // OffsetFetch

// ---- OffsetFetch ----

using FetchGather = Gather<wire::OffsetFetchRequest, wire::OffsetFetchResponse>;

void finish_fetch(FetchGather& gather) {
  using Group = wire::OffsetFetchResponse::OffsetFetchResponseGroup;
  std::vector<Group> groups;
  for (std::size_t i = 0; i < gather.parts.size(); ++i) {
    if (gather.parts[i] != nullptr && !gather.parts[i]->value.groups.empty()) {
      groups.push_back(gather.parts[i]->value.groups[0]);
      continue;
    }
    Group& group = groups.emplace_back();
    group.group_id = gather.request.groups[i].group_id;
    group.error_code = code(gather.errors[i]);
  }
  wire::OffsetFetchResponse response;
  wire::Arena& arena = gather.exchange->arena();
  if (gather.exchange->version() >= kGroupsFrom) {
    response.groups = arena.copy_span<Group>(groups);
    return gather.exchange->respond(response);
  }
  using Topic = wire::OffsetFetchResponse::OffsetFetchResponseTopic;
  using Partition = wire::OffsetFetchResponse::OffsetFetchResponsePartition;
  const Group& only = groups.front();
  response.error_code = only.error_code;
  response.topics = arena.make_span<Topic>(only.topics.size());
  for (std::size_t t = 0; t < only.topics.size(); ++t) {
    response.topics[t].name = only.topics[t].name;
    response.topics[t].partitions = arena.make_span<Partition>(only.topics[t].partitions.size());
    for (std::size_t p = 0; p < only.topics[t].partitions.size(); ++p) {
      const auto& at = only.topics[t].partitions[p];
      response.topics[t].partitions[p] = {.partition_index = at.partition_index,
                                          .committed_offset = at.committed_offset,
                                          .committed_leader_epoch = at.committed_leader_epoch,
                                          .metadata = at.metadata,
                                          .error_code = at.error_code};
    }
  }
  gather.exchange->respond(response);
}

// Versions before 8 ask for one group.
void to_groups(wire::OffsetFetchRequest& request, wire::Arena& arena) {
  using Request = wire::OffsetFetchRequest;
  request.groups = arena.make_span<Request::OffsetFetchRequestGroup>(1);
  request.groups[0].group_id = request.group_id;
  if (!request.topics) {
    request.groups[0].topics = std::nullopt;
    return;
  }
  const auto topics = arena.make_span<Request::OffsetFetchRequestTopics>(request.topics->size());
  for (std::size_t t = 0; t < topics.size(); ++t) {
    topics[t].name = (*request.topics)[t].name;
    topics[t].partition_indexes = (*request.topics)[t].partition_indexes;
  }
  request.groups[0].topics = topics;
}

}  // namespace

void GroupRequests::fetch_offsets(const ExchangePtr& exchange) {
  const auto gather = begin_gather(exchange, finish_fetch);
  if (gather == nullptr) return;
  if (exchange->version() < kGroupsFrom) to_groups(gather->request, exchange->arena());
  for (const auto& wanted : gather->request.groups) {
    set_.ask(
        wanted.group_id,
        [&](group::Token token) {
          return group::events_in::OffsetFetch{
              .token = token, .require_stable = gather->request.require_stable, .group = wanted};
        },
        part_of(gather));
  }
  gather->done();
}

// ---- DescribeGroups, DeleteGroups, ListGroups ----
namespace {

using DescribeGather = Gather<wire::DescribeGroupsRequest, wire::DescribeGroupsResponse>;
using DeleteGather = Gather<wire::DeleteGroupsRequest, wire::DeleteGroupsResponse>;
using ListGather = Gather<wire::ListGroupsRequest, wire::ListGroupsResponse>;

void finish_describe(DescribeGather& gather) {
  using Group = wire::DescribeGroupsResponse::DescribedGroup;
  std::vector<Group> groups;
  for (std::size_t i = 0; i < gather.parts.size(); ++i) {
    if (gather.parts[i] != nullptr && !gather.parts[i]->value.groups.empty()) {
      groups.push_back(gather.parts[i]->value.groups[0]);
      if (gather.request.include_authorized_operations && groups.back().error_code == 0)
        groups.back().authorized_operations = kGroupOperations;
      continue;
    }
    Group& group = groups.emplace_back();
    group.group_id = gather.request.groups[i];
    group.error_code = code(gather.errors[i]);
  }
  wire::DescribeGroupsResponse response;
  response.groups = gather.exchange->arena().copy_span<Group>(groups);
  gather.exchange->respond(response);
}

void finish_delete(DeleteGather& gather) {
  using Result = wire::DeleteGroupsResponse::DeletableGroupResult;
  std::vector<Result> results;
  for (std::size_t i = 0; i < gather.parts.size(); ++i) {
    if (gather.parts[i] != nullptr && !gather.parts[i]->value.results.empty()) {
      results.push_back(gather.parts[i]->value.results[0]);
    } else {
      results.push_back({.group_id = gather.request.groups_names[i], .error_code = code(gather.errors[i])});
    }
  }
  wire::DeleteGroupsResponse response;
  response.results = gather.exchange->arena().copy_span<Result>(results);
  gather.exchange->respond(response);
}

void finish_list(ListGather& gather) {
  using Group = wire::ListGroupsResponse::ListedGroup;
  std::vector<Group> groups;
  wire::ListGroupsResponse response;
  for (std::size_t i = 0; i < gather.parts.size(); ++i) {
    if (gather.parts[i] == nullptr) {
      response.error_code = code(gather.errors[i]);
      continue;
    }
    const wire::ListGroupsResponse& part = gather.parts[i]->value;
    if (part.error_code != 0) response.error_code = part.error_code;
    groups.insert(groups.end(), part.groups.begin(), part.groups.end());
  }
  response.groups = gather.exchange->arena().copy_span<Group>(groups);
  gather.exchange->respond(response);
}

}  // namespace

void GroupRequests::describe(const ExchangePtr& exchange) {
  const auto gather = begin_gather(exchange, finish_describe);
  if (gather == nullptr) return;
  for (const std::string_view id : gather->request.groups) {
    set_.ask(
        id,
        [&](group::Token token) {
          return group::events_in::DescribeGroup{.token = token, .version = exchange->version(), .group_id = id};
        },
        part_of(gather));
  }
  gather->done();
}

void GroupRequests::remove(const ExchangePtr& exchange) {
  const auto gather = begin_gather(exchange, finish_delete);
  if (gather == nullptr) return;
  for (const std::string_view id : gather->request.groups_names) {
    set_.ask(
        id, [&](group::Token token) { return group::events_in::DeleteGroup{.token = token, .group_id = id}; },
        part_of(gather));
  }
  gather->done();
}

// What this broker coordinates; a partition that loads makes the answer an error, beside what the others have.
void GroupRequests::list(const ExchangePtr& exchange) {
  const auto gather = begin_gather(exchange, finish_list);
  if (gather == nullptr) return;
  set_.ask_each(
      [&](group::Token token) {
        return group::events_in::ListGroups{.token = token,
                                            .version = exchange->version(),
                                            .client_id = exchange->client_id(),
                                            .client_host = {},
                                            .request = gather->request};
      },
      [&] { return part_of(gather); });
  gather->done();
}

}  // namespace verdict::broker
