#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/runtime.h"
#include "sim/disk.h"
#include "sim/network.h"
#include "sim/types.h"

namespace verdict::sim {

class SimNode;
class World;

// The seam of one incarnation of one node's process. Once dead it is inert: starts never complete, calls fail without
// an effect, and nothing that happens to it is seen by anyone.
class SimRuntime final : public Runtime, private Network, private Disk {
 public:
  SimRuntime(World& world, SimNode& node, std::uint32_t incarnation);
  ~SimRuntime() override;

  SimNode& node() { return node_; }
  std::uint32_t incarnation() const { return incarnation_; }
  bool alive() const { return alive_; }
  std::size_t operations() const { return operations_; }  // in flight

  MonoTime now() const override;
  WallTime wall_now() const override;
  bool sleep_until(Op&, MonoTime when) override;
  void post(Op&) override;
  void cancel(Op&) override;
  Network& network() override { return *this; }
  Disk& disk() override { return *this; }
  std::uint64_t random(Purpose purpose, std::uint64_t entity) override;
  bool maybe(Site site) override;
  void mark(Mark mark) override;
  const DefectSet& defects() const override;
  bool logs(LogLevel level) const override;
  void log(LogLevel level, std::string_view logger, std::string_view message) override;
  void halt(std::string_view reason) override;

  // ---- for the machine's parts ----
  enum class OpKind : std::uint8_t {
    timer,
    result,
    reader,
    writer,
    accept,
    connect,
    file_read,
    file_sync,
    directory_sync
  };
  static OpKind kind_of(const Op& op) { return static_cast<OpKind>(op.slot[1] & 15); }
  template <class T>
  static T* context_of(const Op& op) {
    return reinterpret_cast<T*>(op.slot[1] & ~std::uintptr_t{15});
  }

  World& world() { return world_; }
  void own(Op& op, OpKind kind, const void* context = nullptr);
  void disown(Op& op);
  // A start that can finish at once: true if it does, false if its completion is drawn to come later.
  bool finish_start(Op& op, std::size_t bytes, std::error_code error);
  bool goes_inline();
  void finish_later(Op& op, std::size_t bytes, std::error_code error);  // of an operation that is owned
  void schedule_now(Op& op);                                            // owned and due: as soon as the process runs
  void schedule_soon(Op& op);
  bool runnable() const;
  void complete_owned(Op& op, std::size_t bytes, std::error_code error);  // at the top of the loop, runnable
  void dispatch(Op& op);                                                  // its time has come
  void reschedule_timers();
  void draw_stall();
  void mark_dead() { alive_ = false; }
  void die();  // all operations are dropped

  // Before each call that reaches the disk. False: the process died at it, or is dead.
  bool disk_call();
  bool doom_is_next() const;
  void sync_begins(Duration latency);  // it may be the one in which the process dies
  void stall(Duration duration);

 private:
  Outcome<std::unique_ptr<Listener>> listen(const Endpoint& at, int backlog) override;
  bool connect(Op&, const Endpoint& to, std::unique_ptr<Stream>& into) override;

  Outcome<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Outcome<FileStatus> status(const std::string& path) override;
  Outcome<std::vector<std::string>> list(const std::string& directory) override;
  Outcome<void> make_directory(const std::string& path) override;
  Outcome<void> rename(const std::string& from, const std::string& to) override;
  Outcome<void> remove(const std::string& path) override;
  bool sync_directory(Op&, const std::string& path) override;
  Outcome<void> sync_directory_now(const std::string& path) override;
  Outcome<std::unique_ptr<FileLock>> lock(const std::string& path) override;
  Outcome<std::uint64_t> free_space(const std::string& path) override;

  World& world_;
  SimNode& node_;
  std::uint32_t incarnation_;
  bool alive_ = true;
  std::uint32_t inline_run_ = 0;
  std::uint64_t inline_bits_ = 0;
  std::uint32_t inline_bits_left_ = 0;
  Op* first_ = nullptr;
  std::size_t operations_ = 0;
};

class SimStream final : public Stream {
 public:
  SimStream(SimRuntime& runtime, Connection& connection, std::size_t side);
  ~SimStream() override;
  bool read_some(Op&, std::span<std::byte> into) override;
  bool wait_readable(Op&) override;
  bool write(Op&, std::span<const ConstBuffer> buffers) override;
  bool can_send_file() const override { return true; }
  bool send_file(Op&, File& file, std::uint64_t offset, std::size_t size) override;
  void cancel(Op&) override;
  void shutdown_write() override;
  void close() override;
  std::string peer() const override;

  void detach() { connection_ = nullptr; }  // the process died

 private:
  friend class SimNetwork;
  Pipe& out() { return connection_->pipes[side_]; }
  Pipe& in() { return connection_->pipes[1 - side_]; }

  SimRuntime& runtime_;
  Connection* connection_;
  std::size_t side_;
  std::string peer_;
};

class SimListener final : public Listener {
 public:
  SimListener(SimRuntime& runtime, Endpoint local, std::size_t backlog);
  ~SimListener() override;
  bool accept(Op&, std::unique_ptr<Stream>& into) override;
  void close() override;
  Endpoint local() const override { return local_; }

 private:
  friend class SimNetwork;
  friend class SimRuntime;
  void wake();

  SimRuntime& runtime_;
  Endpoint local_;
  std::size_t limit_;
  bool open_ = true;
  bool ready_ = false;
  std::vector<Connection*> waiting_;
  Op* acceptor_ = nullptr;
  std::unique_ptr<Stream>* into_ = nullptr;
};

class SimFile final : public File {
 public:
  SimFile(SimRuntime& runtime, InodeRef inode, std::string path, bool writable);
  ~SimFile() override;
  Outcome<std::size_t> append_now(std::span<const ConstBuffer> buffers) override;
  Outcome<std::size_t> write_at_now(std::span<const std::byte> bytes, std::uint64_t offset) override;
  Outcome<std::size_t> read_now(std::span<std::byte> into, std::uint64_t offset) override;
  bool read_at(Op&, std::span<std::byte> into, std::uint64_t offset) override;
  bool sync(Op&) override;
  Outcome<void> sync_now() override;
  Outcome<void> truncate_now(std::uint64_t size) override;
  std::uint64_t size() const override { return inode_->content.size(); }

 private:
  friend class SimRuntime;
  Outcome<std::size_t> write(std::uint64_t offset, std::span<const ConstBuffer> buffers);
  void finish_read(Op& op);
  void finish_sync(Op& op);

  SimRuntime& runtime_;
  InodeRef inode_;
  std::string path_;
  bool writable_;
  std::uint32_t in_flight_ = 0;
};

}  // namespace verdict::sim
