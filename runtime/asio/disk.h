#pragma once

#include "runtime/asio/loop.h"
#include "runtime/runtime.h"

namespace verdict::real {

class RealFile final : public File {
 public:
  RealFile(class RealDisk& disk, int descriptor, std::uint64_t size, bool writable);
  ~RealFile() override;

  Outcome<std::size_t> append_now(std::span<const ConstBuffer> buffers) override;
  Outcome<std::size_t> write_at_now(std::span<const std::byte> bytes, std::uint64_t offset) override;
  Outcome<std::size_t> read_now(std::span<std::byte> into, std::uint64_t offset) override;
  bool read_at(Op&, std::span<std::byte> into, std::uint64_t offset) override;
  bool sync(Op&) override;
  Outcome<void> sync_now() override;
  Outcome<void> truncate_now(std::uint64_t size) override;
  std::uint64_t size() const override;

  int descriptor() const { return descriptor_; }
  // Whether reading the range now would not wait for the disk.
  bool resident(std::uint64_t offset, std::size_t size);
  // Reads the range into the page cache, on a worker.
  void warm(Op& op, std::uint64_t offset, std::size_t size);

 private:
  friend class RealDisk;

  RealDisk& disk_;
  const int descriptor_;
  std::uint64_t size_;  // of a writable file, whose only writer this is
  const bool writable_;
  bool can_probe_ = true;  // the file system knows RWF_NOWAIT
  std::size_t on_workers_ = 0;
};

class RealDisk final : public Disk {
 public:
  explicit RealDisk(Loop& loop) : loop_(loop) {}

  Outcome<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Outcome<FileStatus> status(const std::string& path) override;
  Outcome<std::vector<std::string>> list(const std::string& directory) override;
  Outcome<void> make_directory(const std::string& path) override;
  Outcome<void> rename(const std::string& from, const std::string& to) override;
  Outcome<void> remove(const std::string& path) override;
  bool sync_directory(Op&, const std::string& path) override;
  Outcome<void> sync_directory_now(const std::string& path) override;
  // Fails with device_or_resource_busy if another holds it, be it this process, Kafka's or any other. The file stays.
  Outcome<std::unique_ptr<FileLock>> lock(const std::string& path) override;
  Outcome<std::uint64_t> free_space(const std::string& path) override;

 private:
  friend class RealFile;

  // Op::slot: the file, then the kind's own.
  struct FileWork : WorkDriver {
    void returned(Op& op) noexcept override { --reinterpret_cast<RealFile*>(op.slot[0])->on_workers_; }

   protected:
    ~FileWork() = default;
  };
  struct Read final : FileWork {
    void run(Op&) noexcept override;
  } read_;
  struct Warm final : FileWork {
    void run(Op&) noexcept override;
  } warm_;
  struct Sync final : FileWork {
    void run(Op&) noexcept override;
  } sync_;
  struct SyncDirectory final : WorkDriver {
    void run(Op&) noexcept override;
  } sync_directory_;

  Loop& loop_;
};

}  // namespace verdict::real
