#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/random.h"
#include "runtime/runtime.h"
#include "sim/config.h"
#include "sim/faults.h"
#include "sim/file_content.h"
#include "sim/types.h"

namespace verdict::sim {

class World;

// What is wrong with a machine's disk, until it is replaced by other DiskFaults. Counts run down; rates go on.
struct DiskFaults {
  std::string path_part;          // calls on paths that contain it; empty: all
  std::uint32_t fail_reads = 0;   // the next n calls fail
  std::uint32_t fail_writes = 0;  // appends, writes, truncations
  std::uint32_t fail_syncs = 0;   // EIO once each; the pages are clean afterwards, and not on the disk
  std::uint32_t read_error_ppm = 0;
  std::uint32_t write_error_ppm = 0;
  std::uint32_t sync_error_ppm = 0;
  Duration extra_latency{};    // of each read and sync that reaches the disk
  Duration append_stall{};     // each append blocks the process so long
  std::uint32_t slowdown = 1;  // factor on drawn latencies
};

// A file or a directory, by counted references: of its name, of open files, of name changes not yet durable.
struct Inode {
  explicit Inode(std::uint64_t number, bool is_directory, PagePool& pool)
      : id(number), directory(is_directory), content(pool) {}

  std::uint64_t id;
  bool directory;
  bool warm = true;  // in the page cache; false from a power loss until the first read
  bool locked = false;
  bool counted = true;  // has a name, so its size counts against the capacity
  std::uint32_t refs = 0;
  FileContent content;
  std::map<std::string, Inode*, std::less<>> children;  // holds a reference of each
};

class InodeRef {
 public:
  InodeRef() = default;
  explicit InodeRef(Inode* inode) : inode_(inode) {
    if (inode_ != nullptr) ++inode_->refs;
  }
  InodeRef(const InodeRef& other) : InodeRef(other.inode_) {}
  InodeRef(InodeRef&& other) noexcept : inode_(std::exchange(other.inode_, nullptr)) {}
  InodeRef& operator=(InodeRef other) noexcept {
    std::swap(inode_, other.inode_);
    return *this;
  }
  ~InodeRef() { drop(inode_); }
  static void drop(Inode* inode);
  Inode* get() const { return inode_; }
  Inode* release() { return std::exchange(inode_, nullptr); }
  Inode* operator->() const { return inode_; }
  Inode& operator*() const { return *inode_; }
  explicit operator bool() const { return inode_ != nullptr; }

 private:
  Inode* inode_ = nullptr;
};

// A machine's disk: a tree of names and files, each as the page cache shows it and as a power loss would leave it.
// Names (creations, removals, renames) become durable when their directory is synced; until then a power loss may undo
// a suffix of each directory's changes. The image outlives processes.
class DiskImage {
 public:
  DiskImage(World& world, NodeIndex node, const DiskConfig& config);
  ~DiskImage();
  DiskImage(const DiskImage&) = delete;
  DiskImage& operator=(const DiskImage&) = delete;

  // ---- as a process sees it ----
  Outcome<InodeRef> open(std::string_view path, OpenMode mode);
  Outcome<FileStatus> status(std::string_view path);
  Outcome<std::vector<std::string>> list(std::string_view path);
  Outcome<void> make_directory(std::string_view path);
  Outcome<void> rename(std::string_view from, std::string_view to);
  Outcome<void> remove(std::string_view path);
  Outcome<InodeRef> directory(std::string_view path);
  void sync_names(Inode& directory);
  Outcome<std::size_t> write(Inode& file, std::string_view path, std::uint64_t offset,
                             std::span<const ConstBuffer> buffers);
  Outcome<std::size_t> read(Inode& file, std::string_view path, std::uint64_t offset, std::span<std::byte> into);
  Outcome<void> truncate(Inode& file, std::string_view path, std::uint64_t size);
  std::error_code sync_error(Inode& file, std::string_view path);  // drawn; if set, its pages are clean and not durable
  Duration read_latency(std::string_view path);
  Duration sync_latency(std::string_view path);
  Duration append_stall(std::string_view path);
  std::uint64_t free_bytes() const { return used_ >= capacity_ ? 0 : capacity_ - used_; }
  std::uint64_t used_bytes() const { return used_; }

  void draw_anew();  // World::reseed

  // ---- faults ----
  void set_faults(DiskFaults faults) { faults_ = std::move(faults); }
  void set_capacity(std::uint64_t bytes) { capacity_ = bytes; }
  void power_loss(PowerLossPolicy policy);
  void process_died();  // locks are released, syncs in flight forgotten
  std::uint64_t rot_bits(std::string_view path_part, std::uint64_t ordinal);
  // A write of the past whose sector went elsewhere: a synced sector of one file lies over bytes of another (or over
  // others of its own), and where it belongs there are zeros. Bytes changed.
  std::uint64_t misdirect_write(std::string_view path_part, std::uint64_t ordinal);
  void lift_rot();  // what was not overwritten since reads as it was written
  void wipe();
  std::uint64_t take_image();
  void restore_image(std::uint64_t image);

  // ---- for tests, tools and checks ----
  Inode* find(std::string_view path);
  bool synced() const { return pending_.empty(); }  // no name change waits for its directory's sync

 private:
  struct NameChange {  // directory[name]: before -> after
    InodeRef directory;
    std::string name;
    InodeRef before;
    InodeRef after;
  };
  struct PendingOp {
    PowerLossEffect undo;  // creation_undone, removal_undone, rename_undone
    NameChange first;
    NameChange second;  // of a rename: the target
  };
  struct Located {
    InodeRef parent;
    std::string_view name;
    Inode* inode = nullptr;
  };
  struct ImageFile {
    std::vector<std::byte> bytes;
    std::vector<ByteRange> lost;  // of what the process could read when the image was taken
  };
  struct Image {
    std::vector<std::string> directories;  // parents first
    std::map<std::string, ImageFile> files;
    std::vector<std::pair<std::string, std::uint64_t>> unborn;  // files without a durable name then, and their sizes
  };
  using Names = std::map<std::uint64_t, std::map<std::string, Inode*>>;  // by id of the directory
  using Walk = std::function<void(const std::string& path, Inode& inode)>;

  bool applies(std::string_view path) const {
    return faults_.path_part.empty() || path.find(faults_.path_part) != path.npos;
  }
  bool fails(std::uint32_t& countdown, std::uint32_t ppm);
  Duration disturbed(const LatencyModel& model);
  Outcome<Located> locate(std::string_view path);
  void set_name(Inode& directory, std::string_view name, Inode* inode);
  void undo(NameChange& change);
  Names durable_names();
  void image_tree(const Names& names, const Inode& directory, const std::string& path, Image& into) const;
  std::uint64_t count_changes(const Image& image);
  std::optional<std::pair<std::string, InodeRef>> choose_durable(std::string_view path_part, KeyedRandom& source,
                                                                 std::uint64_t least);
  std::vector<bool> choose_undone(PowerLossPolicy policy);
  void undo_names(PowerLossPolicy policy);
  void crash_files(PowerLossPolicy policy);
  void walk(Inode& directory, const std::string& path, const Walk& visit);
  void report(std::string_view path, std::uint64_t from, std::uint64_t to, LossCause cause);
  void recount();
  void forget_size(Inode& file);

  World& world_;
  NodeIndex node_;
  DiskConfig config_;
  DiskFaults faults_;
  PagePool pool_;
  InodeRef root_;
  std::uint64_t next_id_ = 1;
  std::uint64_t used_ = 0;
  std::uint64_t capacity_;
  std::uint64_t power_losses_ = 0;
  std::vector<Image> images_;
  std::vector<PendingOp> pending_;
  KeyedRandom latency_;
  KeyedRandom errors_;
  KeyedRandom shorts_;
};

}  // namespace verdict::sim
