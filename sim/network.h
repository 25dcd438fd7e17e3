#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "runtime/random.h"
#include "runtime/runtime.h"
#include "sim/config.h"
#include "sim/faults.h"
#include "sim/message_tap.h"
#include "sim/queue.h"
#include "sim/ring.h"
#include "sim/types.h"

namespace verdict::sim {

class World;
class SimRuntime;
class SimStream;
class SimListener;
class SimNetwork;
struct Connection;

// Bytes on their way: everything up to stream position `end`, due at at_ns.
struct Segment {
  std::uint64_t end = 0;
  std::int64_t at_ns = 0;
  std::uint32_t hold = 0;  // a message rule keeps it; 0: none
  bool breaks = false;     // a message rule resets the connection here
  bool fin = false;
};

// Follows length-prefixed frames through a stream of bytes.
struct FrameCounter {
  std::uint32_t size = 0;
  std::uint32_t size_bytes = 0;
  std::uint64_t remaining = 0;
  bool broken = false;  // this stream does not carry frames
};

struct TapState;

// One direction of a connection: written by end `side`, read by the other.
struct alignas(16) Pipe {
  Connection* connection = nullptr;
  std::uint8_t side = 0;
  bool fin_written = false;
  bool fin_arrived = false;
  bool stalled = false;      // the front segment did not get through
  bool ack_stalled = false;  // the reader has bytes that the writer's machine has no word of
  bool reader_ready = false;
  std::uint64_t written = 0;
  std::uint64_t arrived = 0;
  std::uint64_t read = 0;
  ByteRing bytes;
  Ring<Segment> flight;
  Event arrival;
  Event window;
  Event rst;      // on its way from `side`
  Event give_up;  // of the writer
  Op* reader = nullptr;
  std::span<std::byte> into;
  Op* writer = nullptr;
  std::size_t writer_total = 0;
  std::vector<ConstBuffer> unwritten;  // of the writer in flight, first to last
  std::vector<std::byte> owned;        // bytes that send_file has read
  FrameCounter counter;
  std::unique_ptr<TapState> tap;

  Pipe();
  ~Pipe();
};

struct End {
  enum class State : std::uint8_t { open, closed, gone };  // closed: by the process, not yet by its kernel
  NodeIndex node;
  SimRuntime* runtime = nullptr;  // null once its process is gone
  SimStream* stream = nullptr;
  SimListener* backlog_of = nullptr;
  State state = State::gone;
  std::error_code error;
};

struct Connection {
  SimNetwork* network = nullptr;
  enum class Phase : std::uint8_t { free, syn, syn_ack, refused, established, failed };
  std::uint64_t id = 0;
  std::size_t slot = 0;
  Phase phase = Phase::free;
  std::uint16_t port = 0;
  std::uint32_t attempts = 0;
  VirtualTime give_up_at{};
  Event handshake;
  Op* connector = nullptr;
  std::unique_ptr<Stream>* connect_into = nullptr;
  std::array<End, 2> ends;  // 0: connected, 1: accepted
  std::array<Pipe, 2> pipes;
};

struct Link {
  std::array<std::uint16_t, 6> blocks{};  // by cause, partition_pair first
  std::uint16_t blocked = 0;
  std::uint16_t clogs = 0;
  std::uint16_t swizzles = 0;  // clogs of a swizzle
  std::uint16_t refuses = 0;   // new connections are reset at once
  std::uint16_t hangs = 0;     // new connections are never answered
  FaultKind cause = FaultKind::partition_pair;
  Duration extra{};
  std::uint64_t bytes_per_ms = 0;  // 0: as configured
  std::int64_t busy_until_ns = 0;
  std::uint64_t key = 0;
  std::int64_t bucket = -1;
  KeyedRandom draws{0};
  KeyedRandom splits{0}, short_reads{0}, retransmits{0};
  std::vector<Pipe*> stalled;  // data that waits to cross this link
  std::vector<Pipe*> unacked;  // pipes the other way whose acknowledgements wait

  void key_draws(const World& world, NodeIndex from, NodeIndex to);
  bool open() const { return blocked == 0 && clogs == 0 && swizzles == 0; }
  FaultKind held_by() const { return blocked != 0 ? cause : swizzles != 0 ? FaultKind::swizzle : FaultKind::clog; }
};

// TCP between machines. A stream never loses, repeats or reorders bytes: what a network does to packets shows as delay,
// and after a time-out as a reset of the sender's side alone. A process that dies has its sockets closed by its kernel
// (FIN, or RST where data was unread); a machine that loses power says nothing, and answers RST once it is back.
class SimNetwork {
 public:
  explicit SimNetwork(World& world) : world_(world) {}
  ~SimNetwork();
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;

  void add_node();
  void draw_anew();  // World::reseed
  Link& link(NodeIndex from, NodeIndex to) { return links_[from.value()][to.value()]; }
  const Link& link(NodeIndex from, NodeIndex to) const { return links_[from.value()][to.value()]; }

  // ---- faults ----
  void block(NodeIndex from, NodeIndex to, FaultKind cause);
  void unblock(NodeIndex from, NodeIndex to, FaultKind cause);
  void clog(NodeIndex from, NodeIndex to) { ++link(from, to).clogs; }
  void release(NodeIndex from, NodeIndex to);
  void swizzle(NodeIndex from, NodeIndex to, bool on);
  void heal();
  std::size_t reset(NodeIndex a, NodeIndex b);
  void release_messages(std::uint32_t hold_id);
  void power_on(NodeIndex node);      // what waited for the machine is sent again
  void process_died(NodeIndex node);  // its kernel closes what it had open
  void power_off(NodeIndex node);

  // ---- for the seam ----
  Outcome<std::unique_ptr<Listener>> listen(SimRuntime& runtime, const Endpoint& at, int backlog);
  void close_listener(SimListener& listener);
  bool connect(SimRuntime& runtime, Op& op, const Endpoint& to, std::unique_ptr<Stream>& into);
  void cancel_connect(Connection& connection);
  std::unique_ptr<Stream> accepted(Connection& connection);
  bool read(Pipe& pipe, Op& op, std::span<std::byte> into);
  void finish_read(Pipe& pipe, Op& op);  // bytes and error of a read that is due
  bool write(Pipe& pipe, Op& op, std::span<const ConstBuffer> buffers);
  void shutdown(Pipe& pipe);
  void close(Connection& connection, std::size_t side);
  std::size_t open_connections() const { return in_use_; }

 private:
  friend class SimListener;
  friend class SimStream;
  std::int64_t latency(NodeIndex from, NodeIndex to, std::size_t bytes);
  Connection& take_connection();
  void free_if_done(Connection& connection);
  void set_up(Connection& connection, NodeIndex from, NodeIndex to);
  void push(Pipe& pipe, const std::byte* data, std::size_t size);
  void segment(Pipe& pipe);
  void segment_frames(Pipe& pipe);
  bool splits(Pipe& pipe);
  void add_segment(Pipe& pipe, std::uint64_t end, const FrameDecision& decision, bool fin);
  void arm(Pipe& pipe);
  void on_arrival(Pipe& pipe);
  bool arrive(Pipe& pipe, const Segment& segment);
  void count_frames(Pipe& pipe, std::uint64_t from, std::uint64_t to);
  void tell_delivered(Pipe& pipe);
  void deliver(Pipe& pipe);
  void stall(Pipe& pipe, Link& over);
  void opened(NodeIndex from, NodeIndex to, bool at_once);
  void on_give_up(Pipe& pipe);
  void on_window(Pipe& pipe);
  void pump(Pipe& pipe);
  void wake_reader(Pipe& pipe);
  void finish_writer(Pipe& pipe, std::error_code error);
  void send_rst(Connection& connection, std::size_t from);
  void on_rst(Pipe& pipe);
  void break_end(Connection& connection, std::size_t side, std::error_code error);
  void drop_flight(Pipe& pipe);
  void forget(Pipe& pipe);
  void on_handshake(Connection& connection);
  void handshake_syn(Connection& connection);
  void retry_syn(Connection& connection);
  void fail_connect(Connection& connection, std::errc error);
  SimListener* listener_at(NodeIndex node, std::uint16_t port);

  World& world_;
  std::vector<std::vector<Link>> links_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::size_t> free_;
  std::size_t in_use_ = 0;
  std::map<std::pair<NodeIndex, std::uint16_t>, SimListener*> listeners_;
  KeyedRandom order_{0};
};

}  // namespace verdict::sim
