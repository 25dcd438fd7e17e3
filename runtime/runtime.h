#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "runtime/names.h"
#include "runtime/op.h"
#include "runtime/time.h"

// The only door to the outside world: one Runtime an event loop, one event loop a node. runtime/asio implements it on
// the real machine, sim on the simulated one; nothing else does. A Runtime is named by reference and outlives whatever
// uses it. All calls come from the loop's own thread. See Op for what a start means.
namespace verdict {

template <class T>
using Outcome = std::expected<T, std::error_code>;

class File;

// A connected byte stream. Reads and writes are each sequential: at most one read or wait, and one write or send_file,
// in flight.
class Stream {
 public:
  virtual ~Stream() = default;  // close(); no operation may be in flight
  // At least one byte, or bytes == 0 without error at the orderly end. Reset and abort are errors.
  virtual bool read_some(Op&, std::span<std::byte> into) = 0;
  virtual bool wait_readable(Op&) = 0;
  // All buffers in their order, or an error. The buffers (not the span) stay valid until completion; at most 64.
  virtual bool write(Op&, std::span<const ConstBuffer> buffers) = 0;
  virtual bool can_send_file() const = 0;
  virtual bool send_file(Op&, File& file, std::uint64_t offset, std::size_t size) = 0;
  virtual void cancel(Op&) = 0;          // completes with operation_canceled; what was written stays unknown
  virtual void shutdown_write() = 0;     // the peer reads to the end, then 0 bytes
  virtual void close() = 0;              // operations in flight complete with operation_canceled
  virtual std::string peer() const = 0;  // "host:port", for log lines
};

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

class Listener {
 public:
  virtual ~Listener() = default;
  virtual bool accept(Op&, std::unique_ptr<Stream>& into) = 0;
  virtual void close() = 0;  // an accept in flight completes with operation_canceled
  virtual Endpoint local() const = 0;
};

class Network {
 public:
  virtual ~Network() = default;
  virtual Outcome<std::unique_ptr<Listener>> listen(const Endpoint& at, int backlog) = 0;  // port 0: any
  virtual bool connect(Op&, const Endpoint& to, std::unique_ptr<Stream>& into) = 0;        // cancel: Runtime::cancel
};

// One open file. Bytes written are in the page cache: they survive the process, and the machine only after sync.
class File {
 public:
  virtual ~File() = default;
  // At the end of the file, now. Fewer bytes than asked or an error leave an unknown tail: truncate it away.
  virtual Outcome<std::size_t> append_now(std::span<const ConstBuffer> buffers) = 0;
  virtual Outcome<std::size_t> write_at_now(std::span<const std::byte> bytes, std::uint64_t offset) = 0;
  // Blocks when the page is cold; for the few bytes that a turn needs. Fewer than asked only at the end of the file.
  virtual Outcome<std::size_t> read_now(std::span<std::byte> into, std::uint64_t offset) = 0;
  virtual bool read_at(Op&, std::span<std::byte> into,
                       std::uint64_t offset) = 0;  // the same, without blocking the loop
  virtual bool sync(Op&) = 0;            // data and size; after an error the state of unsynced pages is unknown
  virtual Outcome<void> sync_now() = 0;  // for start-up and shut-down, where nothing else runs
  virtual Outcome<void> truncate_now(std::uint64_t size) = 0;
  virtual std::uint64_t size() const = 0;
};

struct FileStatus {
  std::uint64_t size = 0;
  bool directory = false;
};

enum class OpenMode : std::uint8_t { read, read_write, create };  // create: read_write, made if absent

class FileLock {
 public:
  virtual ~FileLock() = default;  // releases
};

// Paths use '/', relative to the node's own root in a simulation.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual Outcome<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  virtual Outcome<FileStatus> status(const std::string& path) = 0;
  virtual Outcome<std::vector<std::string>> list(const std::string& directory) = 0;  // names, sorted
  virtual Outcome<void> make_directory(const std::string& path) = 0;                 // and its parents; fine if there
  virtual Outcome<void> rename(const std::string& from, const std::string& to) = 0;  // replaces `to`; not durable alone
  virtual Outcome<void> remove(const std::string& path) = 0;                         // a file or an empty directory
  virtual bool sync_directory(Op&, const std::string& path) = 0;
  virtual Outcome<void> sync_directory_now(const std::string& path) = 0;
  virtual Outcome<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;  // exclusive, at once or an error
  virtual Outcome<std::uint64_t> free_space(const std::string& path) = 0;        // bytes
};

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error };

class Runtime {
 public:
  virtual ~Runtime() = default;
  virtual MonoTime now() const = 0;
  virtual WallTime wall_now() const = 0;
  virtual bool sleep_until(Op&, MonoTime when) = 0;
  virtual void post(Op&) = 0;    // completes once, soon, from the loop
  virtual void cancel(Op&) = 0;  // a sleep or a connect; completes with operation_canceled, from the loop
  virtual Network& network() = 0;
  virtual Disk& disk() = 0;
  virtual std::uint64_t random(Purpose purpose, std::uint64_t entity) = 0;
  virtual bool maybe(Site site) = 0;  // false on the real machine
  virtual void mark(Mark mark) = 0;
  virtual const DefectSet& defects() const = 0;  // empty on the real machine
  virtual bool logs(LogLevel level) const = 0;
  virtual void log(LogLevel level, std::string_view logger, std::string_view message) = 0;
  // The process cannot go on (its only log directory failed, ...). The node stops without cleaning up.
  virtual void halt(std::string_view reason) = 0;
};

}  // namespace verdict
