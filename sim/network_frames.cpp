// Message rules: the stream cut at frame boundaries, each frame put before the tap as soon as its head is written.
#include <algorithm>

#include "sim/network.h"
#include "sim/sim_runtime.h"
#include "sim/tap_state.h"
#include "sim/world.h"

namespace verdict::sim {
namespace {

constexpr std::uint32_t kMaxFrame = 1U << 30;
constexpr std::size_t kMaxUnanswered = 4096;
constexpr std::size_t kRequestHead = 8;  // api key, version, correlation id
constexpr std::size_t kResponseHead = 4;

std::uint32_t big_endian(std::span<const std::byte> bytes) {
  std::uint32_t value = 0;
  for (const std::byte b : bytes) value = value << 8 | std::to_integer<std::uint32_t>(b);
  return value;
}

// The head of the frame at tap.frame_start, once enough of it is there.
bool read_head(Pipe& pipe, TapState& tap, TapState* requests_of, FrameHead& head) {
  const std::uint64_t there = pipe.written - tap.frame_start;
  if (there < 4) return false;
  std::array<std::byte, 12> bytes{};
  pipe.bytes.copy(tap.frame_start, std::span(bytes).first(4));
  head.size = big_endian(std::span(bytes).first(4));
  if (head.size > kMaxFrame) {
    tap.broken = true;
    return false;
  }
  head.response = pipe.side == 1;
  const std::size_t wanted = head.response ? kResponseHead : kRequestHead;
  if (there < 4 + std::min<std::uint64_t>(wanted, head.size)) return false;
  if (head.size < wanted) return true;
  pipe.bytes.copy(tap.frame_start, std::span(bytes).first(4 + wanted));
  if (!head.response) {
    head.api_key = static_cast<std::int16_t>(big_endian(std::span(bytes).subspan(4, 2)));
    head.api_version = static_cast<std::int16_t>(big_endian(std::span(bytes).subspan(6, 2)));
    head.correlation_id = static_cast<std::int32_t>(big_endian(std::span(bytes).subspan(8, 4)));
    if (tap.requests.size() == kMaxUnanswered) tap.requests.erase(tap.requests.begin());
    tap.requests.push_back({head.correlation_id, head.api_key, head.api_version});
    return true;
  }
  head.correlation_id = static_cast<std::int32_t>(big_endian(std::span(bytes).subspan(4, 4)));
  if (requests_of == nullptr) return true;
  auto& requests = requests_of->requests;
  const auto it = std::find_if(requests.begin(), requests.end(),
                               [&](const TapState::Request& r) { return r.correlation_id == head.correlation_id; });
  if (it != requests.end()) {
    head.api_key = it->api_key;
    head.api_version = it->api_version;
    requests.erase(it);
  }
  return true;
}

}  // namespace

bool SimNetwork::splits(Pipe& pipe) {
  if (pipe.connection->ends[pipe.side].runtime->maybe(Site::SplitWrite)) return true;
  const std::uint32_t one_in = world_.config().network.split_one_in;
  if (one_in == 0) return false;
  const auto& ends = pipe.connection->ends;
  return scale_to(world_.draw(link(ends[pipe.side].node, ends[1 - pipe.side].node).splits), one_in) == 0;
}

void SimNetwork::segment_frames(Pipe& pipe) {
  Connection& connection = *pipe.connection;
  if (pipe.tap == nullptr) {
    pipe.tap = std::make_unique<TapState>();
    pipe.tap->frame_start = pipe.flight.empty() ? pipe.arrived : pipe.flight.back().end;
  }
  TapState& tap = *pipe.tap;
  const auto cut = [&] { return pipe.flight.empty() ? pipe.arrived : pipe.flight.back().end; };
  const std::uint64_t id = connection.id;
  for (;;) {
    if (tap.broken) {
      if (pipe.written > cut()) add_segment(pipe, pipe.written, {}, false);
      return;
    }
    if (!tap.decided) {
      FrameHead head;
      head.from = connection.ends[pipe.side].node;
      head.to = connection.ends[1 - pipe.side].node;
      head.connection = id;
      if (!read_head(pipe, tap, connection.pipes[1 - pipe.side].tap.get(), head)) {
        if (tap.broken) continue;
        return;
      }
      tap.decided = true;
      tap.frame_end = tap.frame_start + 4 + head.size;
      tap.sent.push({head, tap.frame_end, world_.now()});
      tap.asking = true;
      tap.decision = world_.tap()->on_frame(head);
      tap.asking = false;
      if (connection.id != id || connection.ends[pipe.side].state != End::State::open) return;
    }
    const std::uint64_t end = std::min(pipe.written, tap.frame_end);
    if (end > cut() + 1 && splits(pipe)) {
      add_segment(pipe, cut() + (end - cut()) / 2, tap.decision, false);
      tap.decision = {};
      world_.count(FaultKind::partial_write);
    }
    if (end > cut()) {
      add_segment(pipe, end, tap.decision, false);
      tap.decision = {};
    }
    if (pipe.written < tap.frame_end) return;
    tap.frame_start = tap.frame_end;
    tap.decided = false;
    if (tap.frame_start == pipe.written) return;
  }
}

void SimNetwork::tell_delivered(Pipe& pipe) {
  const std::uint64_t id = pipe.connection->id;
  while (pipe.connection->id == id && !pipe.tap->sent.empty() && pipe.tap->sent.front().end <= pipe.arrived) {
    const TapState::Sent sent = pipe.tap->sent.front();
    pipe.tap->sent.pop();
    if (world_.tap() != nullptr) world_.tap()->on_delivered(sent.head, sent.at);
  }
}

void SimNetwork::release_messages(std::uint32_t hold_id) {
  for (auto& connection : connections_) {
    if (connection->phase == Connection::Phase::free) continue;
    for (Pipe& pipe : connection->pipes) {
      bool held = false;
      for (std::size_t i = 0; i < pipe.flight.size(); ++i) {
        if (pipe.flight[i].hold != hold_id) continue;
        pipe.flight[i].hold = 0;
        held = true;
      }
      if (held) arm(pipe);
    }
  }
}

}  // namespace verdict::sim
