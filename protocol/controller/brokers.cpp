#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "protocol/controller/state.h"

// Registration, sessions, fencing and controlled shutdown of brokers.
namespace verdict::controller {
namespace {

namespace rec = protocol::records;
using Request = wire::BrokerRegistrationRequest;

constexpr std::size_t kMaxRefused = 1000;  // ids come from outside

// Directory ids with these values mean "none", "lost", "migrating" and the like (KIP-858).
bool is_reserved_directory(Uuid id) { return id.high == 0 && id.low < 100; }

rec::RegisterBroker record_of(const Request& request) {
  rec::RegisterBroker out{.broker = NodeId(request.broker_id), .incarnation = request.incarnation_id};
  for (const auto& l : request.listeners) {
    out.listeners.push_back({std::string(l.name), std::string(l.host), l.port, l.security_protocol});
  }
  for (const auto& f : request.features) {
    out.features.push_back({std::string(f.name), f.min_supported_version, f.max_supported_version});
  }
  if (request.rack) {
    out.rack = std::string(*request.rack);
  }
  out.log_dirs.assign(request.log_dirs.begin(), request.log_dirs.end());
  return out;
}

}  // namespace

// Kafka says the same of a broker that nobody has heard of (checkBrokerEpoch).
ErrorCode Controller::State::check_broker_epoch(std::int32_t broker, std::int64_t broker_epoch, Effects& out) const {
  const auto* registered = image.broker(NodeId(broker));
  if (registered != nullptr && registered->epoch.value() == broker_epoch) {
    return ErrorCode::NONE;
  }
  out.marks.push_back(Mark::StaleBrokerEpochRefused);
  return ErrorCode::STALE_BROKER_EPOCH;
}

// Fenced or not, a broker that is heard keeps its id; one that was let go has no session any more.
bool Controller::State::has_valid_session(const protocol::BrokerRegistration& broker, MonoTime now) const {
  const auto found = sessions.find(broker.id);
  return found != sessions.end() && found->second.epoch == broker.epoch && found->second.last_contact &&
         *found->second.last_contact + session_timeout > now;
}

std::optional<std::string> Controller::State::bad_registration(const Request& request, ErrorCode& error) const {
  error = ErrorCode::INVALID_REGISTRATION;
  if (request.log_dirs.empty()) {
    return "No directories specified in request";
  }
  if (std::ranges::any_of(request.log_dirs, is_reserved_directory)) {
    return "Reserved directory ID in request";
  }
  if (std::set<Uuid>(request.log_dirs.begin(), request.log_dirs.end()).size() != request.log_dirs.size()) {
    return "Duplicate directory ID in request";
  }
  for (const auto& [id, other] : image.brokers()) {
    for (const Uuid directory : other.log_dirs) {
      if (id.value() != request.broker_id && std::ranges::find(request.log_dirs, directory) != request.log_dirs.end()) {
        return "Broker " + std::to_string(id.value()) + " is already registered with directory " +
               directory.to_string();
      }
    }
  }
  error = ErrorCode::UNSUPPORTED_VERSION;
  for (const auto& [name, level] : image.features()) {
    const auto offered = std::ranges::find(request.features, name, &Request::Feature::name);
    if (offered == request.features.end()) {
      return "Unable to register because the broker does not support finalized version " + std::to_string(level) +
             " of " + name;
    }
    if (level < offered->min_supported_version || level > offered->max_supported_version) {
      return "Unable to register because the broker does not support finalized version " + std::to_string(level) +
             " of " + name + ". The broker wants a version between " + std::to_string(offered->min_supported_version) +
             " and " + std::to_string(offered->max_supported_version) + ", inclusive.";
    }
  }
  return std::nullopt;
}

// The first of this incarnation and for this reason.
bool Controller::State::first_refusal(const Request& request, ErrorCode error) {
  const Refused now{.incarnation = request.incarnation_id, .error = error};
  if (refused.size() >= kMaxRefused) {
    refused.clear();
  }
  return std::exchange(refused[NodeId(request.broker_id)], now) != now;
}

wire::BrokerRegistrationResponse Controller::State::register_broker(const events_in::RegisterBroker& event,
                                                                    MonoTime now, Effects& out) {
  const Request& request = event.request;
  const std::string who = "registration of broker " + std::to_string(request.broker_id);
  const auto refuse = [&](ErrorCode error, const std::string& why) {
    out.marks.push_back(Mark::RegistrationRefused);
    if (first_refusal(request, error)) {
      log(out, true, who + " incarnation " + request.incarnation_id.to_string() + " refused: " + why);
    }
    return wire::BrokerRegistrationResponse{.error_code = code(error)};
  };
  if (request.cluster_id != options.cluster_id) {
    return refuse(ErrorCode::INCONSISTENT_CLUSTER_ID, "Expected cluster ID " + options.cluster_id +
                                                          ", but got cluster ID " + std::string(request.cluster_id));
  }
  const auto* existing = image.broker(NodeId(request.broker_id));
  const bool same_incarnation = existing != nullptr && existing->incarnation == request.incarnation_id;
  if (existing != nullptr && !same_incarnation && has_valid_session(*existing, now)) {
    return refuse(ErrorCode::DUPLICATE_BROKER_REGISTRATION,
                  "Another broker is registered with that broker id. If the broker was recently restarted this should "
                  "self-resolve once the heartbeat manager expires the broker's session.");
  }
  if (request.is_migrating_zk_broker) {
    return refuse(ErrorCode::BROKER_ID_NOT_REGISTERED, "Controller does not support registering ZK brokers.");
  }
  ErrorCode error{};
  if (const auto why = bad_registration(request, error)) {
    return refuse(error, *why);
  }
  rec::RegisterBroker record = record_of(request);
  std::vector<MetadataRecord> records;
  // A new life of the broker is in no ISR: what it holds must be compared with its leaders' logs first. Clean or not,
  // the last member of an ISR stays in it (eligible leader replicas are off); its leadership ends all the same, and
  // with it the leader epoch of what the earlier life wrote.
  const bool clean = existing == nullptr || existing->epoch.value() == request.previous_broker_epoch;
  if (same_incarnation) {
    record.epoch = existing->epoch;
    record.fenced = existing->fenced;
    record.in_controlled_shutdown = existing->in_controlled_shutdown;
  } else {
    record.epoch = BrokerEpoch(next_offset.value());
    if (!clean) {
      out.marks.push_back(Mark::UncleanReregistration);
    }
    remove_from_isrs(record.broker, records, out);
    // Fencing is what took a broker out of its ISRs, and an unfenced one's session has only just ended.
    if (!clean && !records.empty() && options.defects.has(Defect::Kafka18106)) [[unlikely]] {
      out.marks.push_back(Mark::DefectKafka18106);
      records.clear();
    }
  }
  refused.erase(record.broker);
  const BrokerEpoch granted = record.epoch;
  records.emplace_back(std::move(record));
  log(out, false,
      who + " incarnation " + request.incarnation_id.to_string() + " granted: epoch " +
          std::to_string(granted.value()) + (clean || same_incarnation ? "" : ", after an unclean stop"));
  append(std::move(records), out, clean);
  if (!same_incarnation) {
    sessions[NodeId(request.broker_id)] = {.epoch = granted};
  }
  return {.broker_epoch = granted.value()};
}

Offset Controller::State::lowest_active_offset() const {
  Offset lowest{std::numeric_limits<std::int64_t>::max()};
  for (const auto& [id, session] : sessions) {
    if (image.active(id)) {
      lowest = std::min(lowest, session.metadata_offset);
    }
  }
  return lowest;
}

wire::BrokerHeartbeatResponse Controller::State::heartbeat(const events_in::Heartbeat& event, MonoTime now,
                                                           Effects& out) {
  const wire::BrokerHeartbeatRequest& request = event.request;
  if (const ErrorCode error = check_broker_epoch(request.broker_id, request.broker_epoch, out);
      error != ErrorCode::NONE) {
    return {.error_code = code(error)};
  }
  enum class Next : std::uint8_t { stay, fence, unfence, shut_down_slowly, shut_down_now };
  const NodeId id(request.broker_id);
  const protocol::BrokerRegistration broker = *image.broker(id);
  Session& session = sessions[id];
  const Offset reached(request.current_metadata_offset);
  const bool caught_up = reached >= broker.record_offset;
  const bool leads = image.leaderships(id) > 0;
  Next next = Next::stay;
  if (broker.fenced) {
    next = request.want_shut_down ? Next::shut_down_now : !request.want_fence && caught_up ? Next::unfence : Next::stay;
  } else if (broker.in_controlled_shutdown) {
    // It may go when every active broker has seen that it leads nothing any more.
    const bool seen = session.controlled_shutdown_offset <= lowest_active_offset();
    next = !leads && seen ? Next::shut_down_now : Next::shut_down_slowly;
  } else if (request.want_fence) {
    next = request.want_shut_down ? Next::shut_down_now : Next::fence;
  } else if (request.want_shut_down) {
    next = leads ? Next::shut_down_slowly : Next::shut_down_now;
  }

  std::vector<MetadataRecord> records;
  const bool fences = next == Next::fence || (next == Next::shut_down_now && !broker.fenced);
  if (fences) {
    remove_from_isrs(id, records, out);
    records.emplace_back(rec::BrokerRegistrationChange{.broker = id, .epoch = broker.epoch, .fenced = true});
    out.marks.push_back(Mark::BrokerFenced);
  } else if (next == Next::unfence) {
    records.emplace_back(rec::BrokerRegistrationChange{.broker = id, .epoch = broker.epoch, .fenced = false});
    // Once in controlled shutdown a life leads nothing any more, fenced and unfenced again or not.
    elect_leaderless(broker.in_controlled_shutdown ? kNoNode : id, records, out);
    out.marks.push_back(Mark::BrokerUnfenced);
  } else if (next == Next::shut_down_slowly && !broker.in_controlled_shutdown) {
    records.emplace_back(
        rec::BrokerRegistrationChange{.broker = id, .epoch = broker.epoch, .in_controlled_shutdown = true});
    remove_from_isrs(id, records, out);
  }
  append(std::move(records), out);
  session.epoch = broker.epoch;
  session.last_contact = next == Next::shut_down_now ? std::nullopt : std::optional(now);
  session.metadata_offset = std::max(session.metadata_offset, reached);
  if (next == Next::shut_down_slowly && session.controlled_shutdown_offset == kNoOffset) {
    session.controlled_shutdown_offset = next_offset - 1;
  }
  return {.is_caught_up = caught_up,
          .is_fenced = image.broker(id)->fenced,
          .should_shut_down = next == Next::shut_down_now};
}

void Controller::State::fence_expired(MonoTime now, Effects& out) {
  for (auto& [id, session] : sessions) {
    const auto* broker = image.broker(id);
    if (broker == nullptr || broker->fenced || !session.last_contact || *session.last_contact + session_timeout > now) {
      continue;
    }
    const BrokerEpoch broker_epoch = broker->epoch;
    log(out, true,
        "fencing broker " + std::to_string(id.value()) + " at epoch " + std::to_string(broker_epoch.value()) +
            " because its session has timed out");
    std::vector<MetadataRecord> records;
    remove_from_isrs(id, records, out);
    records.emplace_back(rec::BrokerRegistrationChange{.broker = id, .epoch = broker_epoch, .fenced = true});
    out.marks.push_back(Mark::BrokerFenced);
    append(std::move(records), out);
  }
}

}  // namespace verdict::controller
