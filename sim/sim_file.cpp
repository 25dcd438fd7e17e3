// The seam's files on a DiskImage.
#include <algorithm>

#include "sim/sim_runtime.h"
#include "sim/world.h"

namespace verdict::sim {
namespace {

std::unexpected<std::error_code> dead() { return std::unexpected(canceled_error()); }

class SimFileLock final : public FileLock {
 public:
  SimFileLock(SimRuntime& runtime, InodeRef inode) : runtime_(runtime), inode_(std::move(inode)) {}
  ~SimFileLock() override {
    if (runtime_.alive()) inode_->locked = false;
  }

 private:
  SimRuntime& runtime_;
  InodeRef inode_;
};

}  // namespace

bool SimRuntime::doom_is_next() const { return alive_ && node_.doom_countdown_ == 1; }

bool SimRuntime::disk_call() {
  if (!alive_) return false;
  if (node_.doom_countdown_ == 0 || --node_.doom_countdown_ != 0) return true;
  world_.bring_down(node_, DeathCause::doomed);
  return false;
}

void SimRuntime::sync_begins(Duration latency) {
  if (node_.doom_syncs_ == 0 || --node_.doom_syncs_ != 0) return;
  KeyedRandom source = world_.keyed(Draw::doom, mix64(node_.index().value(), incarnation_));
  const auto within =
      scale_to(world_.draw(source), static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 1)));
  world_.after(Duration(static_cast<std::int64_t>(within)),
               [this_world = &world_, index = node_.index(), of = incarnation_] {
                 SimNode& node = this_world->node(index);
                 if (!node.running() || node.incarnation() != of) return;
                 node.in_doomed_sync_ = true;
                 this_world->bring_down(node, DeathCause::doomed);
               });
}

void SimRuntime::stall(Duration duration) {
  if (duration > Duration(0)) node_.busy_until_ = std::max(node_.busy_until_, world_.now()) + duration;
}

// ---- names ----

Outcome<std::unique_ptr<File>> SimRuntime::open(const std::string& path, OpenMode mode) {
  if (!disk_call()) return dead();
  Outcome<InodeRef> inode = node_.disk_.open(path, mode);
  if (!inode) return std::unexpected(inode.error());
  return std::make_unique<SimFile>(*this, std::move(*inode), path, mode != OpenMode::read);
}

Outcome<FileStatus> SimRuntime::status(const std::string& path) {
  if (!alive_) return dead();
  return node_.disk_.status(path);
}

Outcome<std::vector<std::string>> SimRuntime::list(const std::string& directory) {
  if (!alive_) return dead();
  return node_.disk_.list(directory);
}

Outcome<void> SimRuntime::make_directory(const std::string& path) {
  if (!disk_call()) return dead();
  return node_.disk_.make_directory(path);
}

Outcome<void> SimRuntime::rename(const std::string& from, const std::string& to) {
  if (!disk_call()) return dead();
  return node_.disk_.rename(from, to);
}

Outcome<void> SimRuntime::remove(const std::string& path) {
  if (!disk_call()) return dead();
  return node_.disk_.remove(path);
}

bool SimRuntime::sync_directory(Op& op, const std::string& path) {
  if (!disk_call()) return false;
  Outcome<InodeRef> directory = node_.disk_.directory(path);
  if (!directory) return finish_start(op, 0, directory.error());
  if (const std::error_code error = node_.disk_.sync_error(**directory, path)) return finish_start(op, 0, error);
  op.bytes = 0;
  op.error = {};
  own(op, OpKind::directory_sync, directory->release());
  const Duration latency = node_.disk_.sync_latency(path);
  world_.schedule(op, world_.now() + latency, node_.order_);
  sync_begins(latency);
  return false;
}

Outcome<void> SimRuntime::sync_directory_now(const std::string& path) {
  if (!disk_call()) return dead();
  Outcome<InodeRef> directory = node_.disk_.directory(path);
  if (!directory) return std::unexpected(directory.error());
  stall(node_.disk_.sync_latency(path));
  if (const std::error_code error = node_.disk_.sync_error(**directory, path)) return std::unexpected(error);
  node_.disk_.sync_names(**directory);
  return {};
}

Outcome<std::unique_ptr<FileLock>> SimRuntime::lock(const std::string& path) {
  if (!disk_call()) return dead();
  Outcome<InodeRef> inode = node_.disk_.open(path, OpenMode::create);
  if (!inode) return std::unexpected(inode.error());
  if ((*inode)->locked) return std::unexpected(std::make_error_code(std::errc::device_or_resource_busy));
  (*inode)->locked = true;
  return std::make_unique<SimFileLock>(*this, std::move(*inode));
}

Outcome<std::uint64_t> SimRuntime::free_space(const std::string&) {
  if (!alive_) return dead();
  return node_.disk_.free_bytes();
}

// ---- one file ----

SimFile::SimFile(SimRuntime& runtime, InodeRef inode, std::string path, bool writable)
    : runtime_(runtime), inode_(std::move(inode)), path_(std::move(path)), writable_(writable) {}

SimFile::~SimFile() { VERDICT_ASSERT(in_flight_ == 0 || !runtime_.alive(), "a file was closed under an operation"); }

Outcome<std::size_t> SimFile::write(std::uint64_t offset, std::span<const ConstBuffer> buffers) {
  SimNode& node = runtime_.node();
  if (!writable_) return std::unexpected(std::make_error_code(std::errc::bad_file_descriptor));
  if (runtime_.doom_is_next()) {
    // The call at which the process dies may have written its first part.
    World& world = runtime_.world();
    KeyedRandom source = world.keyed(Draw::doom, mix64(node.index().value(), runtime_.incarnation()));
    std::size_t total = 0;
    for (const ConstBuffer& buffer : buffers) total += buffer.size;
    std::size_t part = (world.draw(source) & 1) == 0 ? 0 : scale_to(world.draw(source), total + 1);
    for (const ConstBuffer& buffer : buffers) {
      const std::size_t n = std::min(part, buffer.size);
      const ConstBuffer first{buffer.data, n};
      if (n != 0) static_cast<void>(node.disk().write(*inode_, path_, offset, {&first, 1}));
      offset += n;
      part -= n;
    }
  }
  if (!runtime_.disk_call()) return dead();
  runtime_.stall(node.disk().append_stall(path_));
  return node.disk().write(*inode_, path_, offset, buffers);
}

Outcome<std::size_t> SimFile::append_now(std::span<const ConstBuffer> buffers) {
  if (!runtime_.alive()) return dead();
  return write(inode_->content.size(), buffers);
}

Outcome<std::size_t> SimFile::write_at_now(std::span<const std::byte> bytes, std::uint64_t offset) {
  if (!runtime_.alive()) return dead();
  const ConstBuffer buffer{bytes.data(), bytes.size()};
  return write(offset, {&buffer, 1});
}

Outcome<std::size_t> SimFile::read_now(std::span<std::byte> into, std::uint64_t offset) {
  if (!runtime_.disk_call()) return dead();
  DiskImage& image = runtime_.node().disk();
  if (runtime_.maybe(Site::ColdRead)) inode_->warm = false;
  if (!inode_->warm) runtime_.stall(image.read_latency(path_));
  return image.read(*inode_, path_, offset, into);
}

bool SimFile::read_at(Op& op, std::span<std::byte> into, std::uint64_t offset) {
  if (!runtime_.disk_call()) return false;
  DiskImage& image = runtime_.node().disk();
  if (runtime_.maybe(Site::ColdRead)) inode_->warm = false;
  if (inode_->warm && runtime_.goes_inline()) {
    const Outcome<std::size_t> got = image.read(*inode_, path_, offset, into);
    op.bytes = got.value_or(0);
    op.error = got ? std::error_code() : got.error();
    return true;
  }
  ++in_flight_;
  runtime_.own(op, SimRuntime::OpKind::file_read, this);
  op.bytes = into.size();
  op.slot[2] = reinterpret_cast<std::uintptr_t>(into.data());
  op.slot[3] = offset;
  if (inode_->warm) {
    runtime_.schedule_soon(op);
  } else {
    World& world = runtime_.world();
    world.schedule(op, world.now() + image.read_latency(path_), runtime_.node().order_source());
  }
  return false;
}

void SimFile::finish_read(Op& op) {
  --in_flight_;
  const std::span into(reinterpret_cast<std::byte*>(op.slot[2]), op.bytes);
  const Outcome<std::size_t> got = runtime_.node().disk().read(*inode_, path_, op.slot[3], into);
  op.bytes = got.value_or(0);
  op.error = got ? std::error_code() : got.error();
}

bool SimFile::sync(Op& op) {
  if (!runtime_.disk_call()) return false;
  if (inode_->content.clean()) return runtime_.finish_start(op, 0, {});
  ++in_flight_;
  runtime_.own(op, SimRuntime::OpKind::file_sync, this);
  const FileContent::SyncTicket ticket = inode_->content.begin_sync();
  op.slot[2] = ticket.size;
  op.slot[3] = ticket.truncations;
  World& world = runtime_.world();
  const Duration latency = runtime_.node().disk().sync_latency(path_);
  world.schedule(op, world.now() + latency, runtime_.node().order_source());
  runtime_.sync_begins(latency);
  return false;
}

void SimFile::finish_sync(Op& op) {
  --in_flight_;
  op.bytes = 0;
  op.error = runtime_.node().disk().sync_error(*inode_, path_);
  if (!op.error) inode_->content.end_sync({op.slot[2], op.slot[3]});
  runtime_.world().hash_value(inode_->id);
}

Outcome<void> SimFile::sync_now() {
  if (!runtime_.disk_call()) return dead();
  DiskImage& image = runtime_.node().disk();
  runtime_.stall(image.sync_latency(path_));
  const FileContent::SyncTicket ticket = inode_->content.begin_sync();
  if (const std::error_code error = image.sync_error(*inode_, path_)) return std::unexpected(error);
  inode_->content.end_sync(ticket);
  runtime_.world().hash_value(inode_->id);
  return {};
}

Outcome<void> SimFile::truncate_now(std::uint64_t size) {
  if (!runtime_.alive()) return dead();
  if (!writable_) return std::unexpected(std::make_error_code(std::errc::bad_file_descriptor));
  if (!runtime_.disk_call()) return dead();
  return runtime_.node().disk().truncate(*inode_, path_, size);
}

}  // namespace verdict::sim
