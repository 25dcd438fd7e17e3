#pragma once

namespace verdict::storage::testing {

inline std::error_code no_entry() { return std::make_error_code(std::errc::no_such_file_or_directory); }

inline std::error_code MemoryDisk::check(std::string_view call, const std::string& path, bool change) {
  if (change) ++changes;
  if (change && changes_left) {
    if (*changes_left == 0) return std::make_error_code(std::errc::io_error);
    --*changes_left;
  }
  return fault ? fault(call, path) : std::error_code();
}

inline Outcome<std::unique_ptr<File>> MemoryDisk::open(const std::string& path, OpenMode mode) {
  const bool make = mode == OpenMode::create && !has(path);
  if (const auto error = check("open", path, make)) return std::unexpected(error);
  if (make) state_.files[path] = std::make_shared<Content>();
  const auto found = state_.files.find(path);
  if (found == state_.files.end()) return std::unexpected(no_entry());
  return std::make_unique<MemoryFile>(*this, path, found->second);
}

inline Outcome<FileStatus> MemoryDisk::status(const std::string& path) {
  if (state_.directories.contains(path)) return FileStatus{0, true};
  const auto found = state_.files.find(path);
  if (found == state_.files.end()) return std::unexpected(no_entry());
  return FileStatus{found->second->size(), false};
}

inline Outcome<std::vector<std::string>> MemoryDisk::list(const std::string& directory) {
  if (!state_.directories.contains(directory)) return std::unexpected(no_entry());
  std::set<std::string> names;
  const std::string prefix = directory + "/";
  const auto add = [&](const std::string& path) {
    if (path.starts_with(prefix))
      names.insert(path.substr(prefix.size(), path.find('/', prefix.size()) - prefix.size()));
  };
  for (const auto& [path, content] : state_.files) add(path);
  for (const std::string& path : state_.directories) add(path);
  return std::vector<std::string>(names.begin(), names.end());
}

inline Outcome<void> MemoryDisk::make_directory(const std::string& path) {
  if (const auto error = check("mkdir", path, true)) return std::unexpected(error);
  for (std::size_t at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1)) {
    state_.directories.insert(path.substr(0, at));
  }
  state_.directories.insert(path);
  return {};
}

inline Outcome<void> MemoryDisk::rename(const std::string& from, const std::string& to) {
  if (const auto error = check("rename", from, true)) return std::unexpected(error);
  if (state_.directories.contains(from)) {
    MemoryState moved;
    const auto target = [&](const std::string& path) {
      return path.starts_with(from + "/") || path == from ? to + path.substr(from.size()) : path;
    };
    for (auto& [path, content] : state_.files) moved.files[target(path)] = content;
    for (const std::string& path : state_.directories) moved.directories.insert(target(path));
    state_ = std::move(moved);
    return {};
  }
  const auto found = state_.files.find(from);
  if (found == state_.files.end()) return std::unexpected(no_entry());
  auto content = found->second;
  state_.files.erase(found);
  state_.files[to] = std::move(content);
  return {};
}

inline Outcome<void> MemoryDisk::remove(const std::string& path) {
  if (const auto error = check("remove", path, true)) return std::unexpected(error);
  if (state_.directories.erase(path) + state_.files.erase(path) == 0) return std::unexpected(no_entry());
  return {};
}

inline bool MemoryDisk::sync_directory(Op& op, const std::string& path) {
  return runtime_.finish(op, 0, check("sync", path, false));
}

inline Outcome<void> MemoryDisk::sync_directory_now(const std::string& path) {
  if (const auto error = check("sync", path, false)) return std::unexpected(error);
  return {};
}

inline Outcome<std::unique_ptr<FileLock>> MemoryDisk::lock(const std::string& path) {
  struct Lock final : FileLock {
    Lock(std::set<std::string>& all, std::string path) : locks(all), name(std::move(path)) {}
    ~Lock() override { locks.erase(name); }
    std::set<std::string>& locks;
    std::string name;
  };
  if (!locks_.insert(path).second) return std::unexpected(std::make_error_code(std::errc::device_or_resource_busy));
  if (!has(path)) state_.files[path] = std::make_shared<Content>();
  return std::make_unique<Lock>(locks_, path);
}

inline MemoryState MemoryDisk::copy() const {
  MemoryState copied = state_;
  for (auto& [path, content] : copied.files) content = std::make_shared<Content>(*content);
  return copied;
}

inline void MemoryDisk::load(const std::filesystem::path& from, const std::string& to) {
  make_directory(to).value();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(from)) {
    const std::string path = to + "/" + std::filesystem::relative(entry.path(), from).string();
    if (entry.is_directory()) {
      state_.directories.insert(path);
      continue;
    }
    std::ifstream stream(entry.path(), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    const auto bytes = std::as_bytes(std::span(text));
    state_.files[path] = std::make_shared<Content>(bytes.begin(), bytes.end());
  }
}

inline bool MemoryFile::read_at(Op& op, std::span<std::byte> into, std::uint64_t offset) {
  const auto read = read_now(into, offset);
  return disk_.runtime_.finish(op, read.value_or(0), read ? std::error_code() : read.error());
}

inline bool MemoryFile::sync(Op& op) { return disk_.runtime_.finish(op, 0, disk_.check("sync", path_, false)); }

}  // namespace verdict::storage::testing
