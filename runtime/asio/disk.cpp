#include "runtime/asio/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>

namespace verdict::real {
namespace {

constexpr std::size_t kVectors = 64;

std::unexpected<std::error_code> failed() { return std::unexpected(last_error()); }

off_t as_off(std::uint64_t value) { return static_cast<off_t>(value); }

// Reads until `into` is full or the file ends.
Outcome<std::size_t> read_full(int descriptor, std::byte* into, std::size_t size, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = ::pread(descriptor, into + done, size - done, as_off(offset + done));
    if (n == 0) break;
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (errno != EINTR) {
      return failed();
    }
  }
  return done;
}

int open_directory(const std::string& path) { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }

Outcome<void> make_one_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return {};
  if (errno != EEXIST) return failed();
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return failed();
  if (!S_ISDIR(info.st_mode)) return std::unexpected(errno_code(ENOTDIR));
  return {};
}

class RealLock final : public FileLock {
 public:
  RealLock(Loop& loop, int descriptor) : loop_(loop), descriptor_(descriptor) { ++loop_.users; }
  ~RealLock() override {
    ::close(descriptor_);
    --loop_.users;
  }

 private:
  Loop& loop_;
  const int descriptor_;
};

}  // namespace

RealFile::RealFile(RealDisk& disk, int descriptor, std::uint64_t size, bool writable)
    : disk_(disk), descriptor_(descriptor), size_(size), writable_(writable) {
  ++disk_.loop_.users;
}

RealFile::~RealFile() {
  VERDICT_ASSERT(on_workers_ == 0, "a file died with an operation in flight");
  ::close(descriptor_);
  --disk_.loop_.users;
}

Outcome<std::size_t> RealFile::append_now(std::span<const ConstBuffer> buffers) {
  std::size_t done = 0;
  std::size_t first = 0;  // the buffer that holds the next byte, and how much of it is written
  std::size_t skip = 0;
  while (first < buffers.size()) {
    std::array<iovec, kVectors> vectors;
    std::size_t count = 0;
    for (std::size_t i = first; i < buffers.size() && count < kVectors; ++i, ++count) {
      const std::size_t from = i == first ? skip : 0;
      vectors[count] = {const_cast<std::byte*>(buffers[i].data) + from, buffers[i].size - from};
    }
    const ssize_t n = ::pwritev(descriptor_, vectors.data(), static_cast<int>(count), as_off(size_));
    if (n < 0) {
      if (errno == EINTR) continue;
      if (done > 0) break;
      return failed();
    }
    done += static_cast<std::size_t>(n);
    size_ += static_cast<std::uint64_t>(n);
    for (skip += static_cast<std::size_t>(n); first < buffers.size() && skip >= buffers[first].size; ++first) {
      skip -= buffers[first].size;
    }
  }
  return done;
}

Outcome<std::size_t> RealFile::write_at_now(std::span<const std::byte> bytes, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done, as_off(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      if (done > 0) break;
      return failed();
    }
    done += static_cast<std::size_t>(n);
    size_ = std::max(size_, offset + done);
  }
  return done;
}

Outcome<std::size_t> RealFile::read_now(std::span<std::byte> into, std::uint64_t offset) {
  return read_full(descriptor_, into.data(), into.size(), offset);
}

bool RealFile::read_at(Op& op, std::span<std::byte> into, std::uint64_t offset) {
  Loop& loop = disk_.loop_;
  std::size_t done = 0;
  while (can_probe_ && done < into.size()) {
    const iovec vector{into.data() + done, into.size() - done};
    const ssize_t n = ::preadv2(descriptor_, &vector, 1, as_off(offset + done), RWF_NOWAIT);
    if (n == 0) return loop.finish(op, done, {});
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (errno == EOPNOTSUPP || errno == ENOSYS) {
      can_probe_ = false;  // tmpfs: always in memory
    } else if (errno == EAGAIN) {
      op.bytes = done;
      op.slot = {reinterpret_cast<std::uintptr_t>(this), reinterpret_cast<std::uintptr_t>(into.data()), into.size(),
                 offset};
      ++on_workers_;
      loop.workers.submit(op, disk_.read_);
      return false;
    } else if (errno != EINTR) {
      return loop.finish(op, 0, last_error());
    }
  }
  if (done == into.size()) return loop.finish(op, done, {});
  const auto rest = read_full(descriptor_, into.data() + done, into.size() - done, offset + done);
  if (!rest) return loop.finish(op, 0, rest.error());
  return loop.finish(op, done + *rest, {});
}

bool RealFile::sync(Op& op) {
  op.slot[0] = reinterpret_cast<std::uintptr_t>(this);
  ++on_workers_;
  disk_.loop_.workers.submit(op, disk_.sync_);
  return false;
}

Outcome<void> RealFile::sync_now() {
  if (::fdatasync(descriptor_) != 0) return failed();
  return {};
}

Outcome<void> RealFile::truncate_now(std::uint64_t size) {
  while (::ftruncate(descriptor_, as_off(size)) != 0) {
    if (errno != EINTR) return failed();
  }
  size_ = size;
  return {};
}

std::uint64_t RealFile::size() const {
  if (writable_) return size_;
  struct stat info{};
  VERDICT_ASSERT(::fstat(descriptor_, &info) == 0);
  return static_cast<std::uint64_t>(info.st_size);
}

bool RealFile::resident(std::uint64_t offset, std::size_t size) {
  // One byte every so often: read-ahead and write-back work in larger pieces than this.
  constexpr std::size_t kStride = 64 * 1024;
  for (std::size_t at = 0; can_probe_ && at < size;) {
    std::byte byte{};
    const iovec vector{&byte, 1};
    const ssize_t n = ::preadv2(descriptor_, &vector, 1, as_off(offset + at), RWF_NOWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EOPNOTSUPP && errno != ENOSYS) return false;
      can_probe_ = false;
    }
    at = at + 1 == size ? size : std::min(at + kStride, size - 1);
  }
  return true;
}

void RealFile::warm(Op& op, std::uint64_t offset, std::size_t size) {
  op.slot = {reinterpret_cast<std::uintptr_t>(this), offset, size, 0};
  ++on_workers_;
  disk_.loop_.workers.submit(op, disk_.warm_);
}

void RealDisk::Read::run(Op& op) noexcept {
  const int descriptor = reinterpret_cast<RealFile*>(op.slot[0])->descriptor();
  const std::size_t done = op.bytes;
  auto* into = reinterpret_cast<std::byte*>(op.slot[1]);
  const auto rest = read_full(descriptor, into + done, op.slot[2] - done, op.slot[3] + done);
  op.bytes = rest ? done + *rest : 0;
  op.error = rest ? std::error_code{} : rest.error();
}

void RealDisk::Warm::run(Op& op) noexcept {
  std::array<std::byte, 64 * 1024> scratch;
  const int descriptor = reinterpret_cast<RealFile*>(op.slot[0])->descriptor();
  op.bytes = 0;
  op.error = {};
  while (op.bytes < op.slot[2]) {
    const std::size_t size = std::min(scratch.size(), op.slot[2] - op.bytes);
    const auto got = read_full(descriptor, scratch.data(), size, op.slot[1] + op.bytes);
    if (!got) op.error = got.error();
    if (!got || *got == 0) return;
    op.bytes += *got;
  }
}

void RealDisk::Sync::run(Op& op) noexcept {
  const int descriptor = reinterpret_cast<RealFile*>(op.slot[0])->descriptor();
  op.bytes = 0;
  op.error = ::fdatasync(descriptor) == 0 ? std::error_code{} : last_error();
}

void RealDisk::SyncDirectory::run(Op& op) noexcept {
  const int descriptor = static_cast<int>(op.slot[0]);
  op.bytes = 0;
  op.error = ::fsync(descriptor) == 0 ? std::error_code{} : last_error();
  ::close(descriptor);
}

Outcome<std::unique_ptr<File>> RealDisk::open(const std::string& path, OpenMode mode) {
  const int flags = mode == OpenMode::read ? O_RDONLY : mode == OpenMode::read_write ? O_RDWR : O_RDWR | O_CREAT;
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
  if (descriptor < 0) return failed();
  struct stat info{};
  int error = ::fstat(descriptor, &info) == 0 ? 0 : errno;
  if (error == 0 && S_ISDIR(info.st_mode)) error = EISDIR;
  if (error != 0) {
    ::close(descriptor);
    return std::unexpected(errno_code(error));
  }
  const auto size = static_cast<std::uint64_t>(info.st_size);
  return std::make_unique<RealFile>(*this, descriptor, size, mode != OpenMode::read);
}

Outcome<FileStatus> RealDisk::status(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return failed();
  const bool directory = S_ISDIR(info.st_mode);
  return FileStatus{.size = directory ? 0 : static_cast<std::uint64_t>(info.st_size), .directory = directory};
}

Outcome<std::vector<std::string>> RealDisk::list(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), &::closedir);
  if (!open) return failed();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(open.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return failed();
  std::sort(names.begin(), names.end());
  return names;
}

Outcome<void> RealDisk::make_directory(const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    if (auto made = make_one_directory(path.substr(0, slash)); !made) return made;
  }
  return make_one_directory(path);
}

Outcome<void> RealDisk::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return failed();
  return {};
}

Outcome<void> RealDisk::remove(const std::string& path) {
  if (::remove(path.c_str()) != 0) return failed();
  return {};
}

bool RealDisk::sync_directory(Op& op, const std::string& path) {
  const int descriptor = open_directory(path);
  if (descriptor < 0) return loop_.finish(op, 0, last_error());
  op.slot[0] = static_cast<std::uintptr_t>(descriptor);
  loop_.workers.submit(op, sync_directory_);
  return false;
}

Outcome<void> RealDisk::sync_directory_now(const std::string& path) {
  const int descriptor = open_directory(path);
  if (descriptor < 0) return failed();
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (error != 0) return std::unexpected(errno_code(error));
  return {};
}

Outcome<std::unique_ptr<FileLock>> RealDisk::lock(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return failed();
  // Belongs to this opening, unlike a POSIX lock, yet excludes those too (Java's FileChannel.lock takes them).
  struct flock range{};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  if (::fcntl(descriptor, F_OFD_SETLK, &range) != 0) {
    const int error = errno == EAGAIN || errno == EACCES ? EBUSY : errno;
    ::close(descriptor);
    return std::unexpected(errno_code(error));
  }
  return std::make_unique<RealLock>(loop_, descriptor);
}

Outcome<std::uint64_t> RealDisk::free_space(const std::string& path) {
  struct statvfs info{};
  if (::statvfs(path.c_str(), &info) != 0) return failed();
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace verdict::real
