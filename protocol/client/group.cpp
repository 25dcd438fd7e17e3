#include "protocol/client/group.h"

#include <utility>

#include "protocol/client/classic_group_member.h"
#include "protocol/client/consumer_group_member.h"

// What members of both protocols have in common, but for their offsets.
namespace verdict::client {

GroupMember::GroupMember(Runtime& runtime, const ClientOptions& client, GroupOptions options, GroupListener& listener)
    : runtime_(&runtime),
      client_(client),
      options_(std::move(options)),
      listener_(&listener),
      connections_(runtime, client_),
      metadata_(runtime, connections_, client_),
      link_(connections_, metadata_, CoordinatorKind::group, options_.group),
      wake_(runtime),
      scope_(runtime) {
  for (const std::string& topic : options_.topics) metadata_.want(topic);
}

GroupMembership GroupMember::membership() const {
  return {.group = options_.group,
          .generation = joined_ ? generation_ : -1,
          .member_id = joined_ ? member_id_ : std::string(),
          .instance = options_.instance};
}

std::optional<std::string_view> GroupMember::instance() const {
  return options_.instance.empty() ? std::nullopt : std::optional<std::string_view>(options_.instance);
}

std::optional<GroupMembership> GroupMember::renewed(const GroupMembership&, const OffsetsToCommit&) const {
  return std::nullopt;
}

Task<void> GroupMember::close() {
  if (std::exchange(closed_, true)) co_return;
  wake_.notify();
  co_await leave();
  metadata_.close();
  co_await connections_.close();
  co_await scope_.join();
}

// Waits out a back-off; false: closed.
Task<bool> GroupMember::pause() {
  const std::uint64_t draw = runtime_->random(Purpose::Backoff, client_.entity);
  const MonoTime until = runtime_->now() + backoff(client_.retry_backoff, client_.retry_backoff_max, failures_++, draw);
  while (!closed_ && runtime_->now() < until) co_await wake_.wait_until(until);
  co_return !closed_;
}

std::unique_ptr<GroupMember> make_group_member(Runtime& runtime, const ClientOptions& client, GroupOptions options,
                                               GroupListener& listener) {
  if (options.protocol == GroupProtocol::consumer)
    return std::make_unique<ConsumerGroupMember>(runtime, client, std::move(options), listener);
  return std::make_unique<ClassicGroupMember>(runtime, client, std::move(options), listener);
}

}  // namespace verdict::client
