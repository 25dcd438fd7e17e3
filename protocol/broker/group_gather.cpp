#include <algorithm>
#include <utility>

#include "protocol/broker/coordinators.h"
#include "protocol/broker/group_requests.h"

// Requests that name several groups: each has its coordinator, and the answers are put together.
namespace verdict::broker {
namespace {

constexpr int kGroupsFrom = 8;  // OffsetFetch
constexpr std::int32_t kGroupOperations =
    0x0d48;  // bits of AclOperation, without an authorizer: all that a group knows

template <class Request, class Response>
struct Merging {
  ExchangePtr exchange;
  Request request;
  std::vector<std::shared_ptr<wire::Message<Response>>> parts;  // by the order of the groups; null: refused
  std::vector<ErrorCode> errors;
  std::size_t missing = 1;  // the last is its maker's own
  void (*finish)(Merging&) = nullptr;

  void done() {
    if (--missing == 0) finish(*this);
  }
};

template <class Request, class Response>
GroupPartition::Answer part_of(std::shared_ptr<Merging<Request, Response>> merging) {
  const std::size_t place = merging->parts.size();
  merging->parts.emplace_back();
  merging->errors.push_back(ErrorCode::NONE);
  ++merging->missing;
  return [merging, place](std::expected<group::Response, ErrorCode> said) {
    if (said) {
      merging->parts[place] =
          std::make_shared<wire::Message<Response>>(std::move(std::get<wire::Message<Response>>(*said)));
    } else {
      merging->errors[place] = said.error();
    }
    merging->done();
  };
}

// ---- OffsetFetch ----

using FetchMerging = Merging<wire::OffsetFetchRequest, wire::OffsetFetchResponse>;

void finish_fetch(FetchMerging& merging) {
  using Group = wire::OffsetFetchResponse::OffsetFetchResponseGroup;
  std::vector<Group> groups;
  for (std::size_t i = 0; i < merging.parts.size(); ++i) {
    if (merging.parts[i] != nullptr && !merging.parts[i]->value.groups.empty()) {
      groups.push_back(merging.parts[i]->value.groups[0]);
      continue;
    }
    Group& group = groups.emplace_back();
    group.group_id = merging.request.groups[i].group_id;
    group.error_code = code(merging.errors[i]);
  }
  wire::OffsetFetchResponse response;
  wire::Arena& arena = merging.exchange->arena();
  if (merging.exchange->version() >= kGroupsFrom) {
    response.groups = arena.copy_span<Group>(groups);
    return merging.exchange->respond(response);
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
  merging.exchange->respond(response);
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
  const auto merging = std::make_shared<FetchMerging>();
  merging->exchange = exchange;
  merging->finish = finish_fetch;
  if (!exchange->decode(merging->request)) return;
  if (exchange->version() < kGroupsFrom) to_groups(merging->request, exchange->arena());
  for (const auto& wanted : merging->request.groups) {
    const GroupPartition::Answer answer = part_of(merging);
    const auto found = coordinator_of(wanted.group_id);
    if (!found) {
      answer(std::unexpected(found.error()));
      continue;
    }
    (*found)->ask(
        [&](group::Token token) {
          return group::events_in::OffsetFetch{
              .token = token, .require_stable = merging->request.require_stable, .group = wanted};
        },
        answer);
  }
  merging->done();
}

// ---- DescribeGroups, DeleteGroups, ListGroups ----
namespace {

using DescribeMerging = Merging<wire::DescribeGroupsRequest, wire::DescribeGroupsResponse>;
using DeleteMerging = Merging<wire::DeleteGroupsRequest, wire::DeleteGroupsResponse>;
using ListMerging = Merging<wire::ListGroupsRequest, wire::ListGroupsResponse>;

void finish_describe(DescribeMerging& merging) {
  using Group = wire::DescribeGroupsResponse::DescribedGroup;
  std::vector<Group> groups;
  for (std::size_t i = 0; i < merging.parts.size(); ++i) {
    if (merging.parts[i] != nullptr && !merging.parts[i]->value.groups.empty()) {
      groups.push_back(merging.parts[i]->value.groups[0]);
      if (merging.request.include_authorized_operations && groups.back().error_code == 0)
        groups.back().authorized_operations = kGroupOperations;
      continue;
    }
    Group& group = groups.emplace_back();
    group.group_id = merging.request.groups[i];
    group.error_code = code(merging.errors[i]);
  }
  wire::DescribeGroupsResponse response;
  response.groups = merging.exchange->arena().copy_span<Group>(groups);
  merging.exchange->respond(response);
}

void finish_delete(DeleteMerging& merging) {
  using Result = wire::DeleteGroupsResponse::DeletableGroupResult;
  std::vector<Result> results;
  for (std::size_t i = 0; i < merging.parts.size(); ++i) {
    if (merging.parts[i] != nullptr && !merging.parts[i]->value.results.empty()) {
      results.push_back(merging.parts[i]->value.results[0]);
    } else {
      results.push_back({.group_id = merging.request.groups_names[i], .error_code = code(merging.errors[i])});
    }
  }
  wire::DeleteGroupsResponse response;
  response.results = merging.exchange->arena().copy_span<Result>(results);
  merging.exchange->respond(response);
}

void finish_list(ListMerging& merging) {
  using Group = wire::ListGroupsResponse::ListedGroup;
  std::vector<Group> groups;
  wire::ListGroupsResponse response;
  for (std::size_t i = 0; i < merging.parts.size(); ++i) {
    if (merging.parts[i] == nullptr) {
      response.error_code = code(merging.errors[i]);
      continue;
    }
    const wire::ListGroupsResponse& part = merging.parts[i]->value;
    if (part.error_code != 0) response.error_code = part.error_code;
    groups.insert(groups.end(), part.groups.begin(), part.groups.end());
  }
  response.groups = merging.exchange->arena().copy_span<Group>(groups);
  merging.exchange->respond(response);
}

}  // namespace

void GroupRequests::describe(const ExchangePtr& exchange) {
  const auto merging = std::make_shared<DescribeMerging>();
  merging->exchange = exchange;
  merging->finish = finish_describe;
  if (!exchange->decode(merging->request)) return;
  for (const std::string_view id : merging->request.groups) {
    const GroupPartition::Answer answer = part_of(merging);
    const auto found = coordinator_of(id);
    if (!found) {
      answer(std::unexpected(found.error()));
      continue;
    }
    (*found)->ask(
        [&](group::Token token) {
          return group::events_in::DescribeGroup{.token = token, .version = exchange->version(), .group_id = id};
        },
        answer);
  }
  merging->done();
}

void GroupRequests::remove(const ExchangePtr& exchange) {
  const auto merging = std::make_shared<DeleteMerging>();
  merging->exchange = exchange;
  merging->finish = finish_delete;
  if (!exchange->decode(merging->request)) return;
  for (const std::string_view id : merging->request.groups_names) {
    const GroupPartition::Answer answer = part_of(merging);
    const auto found = coordinator_of(id);
    if (!found) {
      answer(std::unexpected(found.error()));
      continue;
    }
    (*found)->ask([&](group::Token token) { return group::events_in::DeleteGroup{.token = token, .group_id = id}; },
                  answer);
  }
  merging->done();
}

// What this broker coordinates; a partition that loads makes the answer an error, beside what the others have.
void GroupRequests::list(const ExchangePtr& exchange) {
  const auto merging = std::make_shared<ListMerging>();
  merging->exchange = exchange;
  merging->finish = finish_list;
  if (!exchange->decode(merging->request)) return;
  for (const auto& [index, coordinator] : std::map(set_.all())) {
    const GroupPartition::Answer answer = part_of(merging);
    if (const ErrorCode refusal = coordinator->refusal(); refusal != ErrorCode::NONE) {
      answer(std::unexpected(refusal));
      continue;
    }
    std::static_pointer_cast<GroupPartition>(coordinator)
        ->ask(
            [&](group::Token token) {
              return group::events_in::ListGroups{.token = token,
                                                  .version = exchange->version(),
                                                  .client_id = exchange->client_id(),
                                                  .client_host = {},
                                                  .request = merging->request};
            },
            answer);
  }
  merging->done();
}

}  // namespace verdict::broker
