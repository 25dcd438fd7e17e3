#include "sim/disk.h"

#include <algorithm>

#include "sim/world.h"

namespace verdict::sim {
namespace {

std::unexpected<std::error_code> fail(std::errc code) { return std::unexpected(std::make_error_code(code)); }

// The next component of a path; empty at its end.
std::string_view next_component(std::string_view& rest) {
  while (!rest.empty() && rest.front() == '/') rest.remove_prefix(1);
  const std::size_t end = std::min(rest.find('/'), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end);
  return part == "." ? next_component(rest) : part;
}

}  // namespace

void InodeRef::drop(Inode* inode) {
  if (inode == nullptr || --inode->refs != 0) return;
  for (const auto& [name, child] : inode->children) drop(child);
  delete inode;
}

DiskImage::DiskImage(World& world, NodeIndex node, const DiskConfig& config)
    : world_(world),
      node_(node),
      config_(config),
      root_(new Inode(0, true, pool_)),
      capacity_(config.capacity_bytes),
      latency_(world.keyed(Draw::disk_latency, node.value())),
      errors_(world.keyed(Draw::disk_error, node.value())),
      shorts_(world.keyed(Draw::disk_short, node.value())) {}

void DiskImage::draw_anew() {
  latency_ = world_.keyed(Draw::disk_latency, node_.value());
  errors_ = world_.keyed(Draw::disk_error, node_.value());
  shorts_ = world_.keyed(Draw::disk_short, node_.value());
}

DiskImage::~DiskImage() {
  pending_.clear();
  root_ = InodeRef();
}

Outcome<DiskImage::Located> DiskImage::locate(std::string_view path) {
  Located found{root_, {}, root_.get()};
  std::string_view rest = path;
  std::string_view part = next_component(rest);
  while (!part.empty()) {
    if (part == "..") return fail(std::errc::invalid_argument);
    Inode& here = *found.inode;
    if (!here.directory) return fail(std::errc::not_a_directory);
    const auto it = here.children.find(part);
    found = Located{InodeRef(&here), part, it == here.children.end() ? nullptr : it->second};
    part = next_component(rest);
    if (found.inode == nullptr && !part.empty()) return fail(std::errc::no_such_file_or_directory);
  }
  return found;
}

Inode* DiskImage::find(std::string_view path) {
  auto found = locate(path);
  return found ? found->inode : nullptr;
}

void DiskImage::set_name(Inode& directory, std::string_view name, Inode* inode) {
  const auto it = directory.children.find(name);
  Inode* before = it == directory.children.end() ? nullptr : it->second;
  if (inode != nullptr) ++inode->refs;
  if (inode == nullptr) {
    if (it != directory.children.end()) directory.children.erase(it);
  } else if (it != directory.children.end()) {
    it->second = inode;
  } else {
    directory.children.emplace(name, inode);
  }
  InodeRef::drop(before);
}

Outcome<InodeRef> DiskImage::open(std::string_view path, OpenMode mode) {
  auto found = locate(path);
  if (!found) return std::unexpected(found.error());
  if (found->inode != nullptr) {
    if (found->inode->directory) return fail(std::errc::is_a_directory);
    return InodeRef(found->inode);
  }
  if (mode != OpenMode::create) return fail(std::errc::no_such_file_or_directory);
  InodeRef file(new Inode(next_id_++, false, pool_));
  set_name(*found->parent, found->name, file.get());
  pending_.push_back({PowerLossEffect::creation_undone, {found->parent, std::string(found->name), {}, file}, {}});
  world_.hash_value(file->id);
  return file;
}

Outcome<FileStatus> DiskImage::status(std::string_view path) {
  auto found = locate(path);
  if (!found) return std::unexpected(found.error());
  if (found->inode == nullptr) return fail(std::errc::no_such_file_or_directory);
  return FileStatus{found->inode->directory ? 0 : found->inode->content.size(), found->inode->directory};
}

Outcome<InodeRef> DiskImage::directory(std::string_view path) {
  auto found = locate(path);
  if (!found) return std::unexpected(found.error());
  if (found->inode == nullptr) return fail(std::errc::no_such_file_or_directory);
  if (!found->inode->directory) return fail(std::errc::not_a_directory);
  return InodeRef(found->inode);
}

Outcome<std::vector<std::string>> DiskImage::list(std::string_view path) {
  auto found = directory(path);
  if (!found) return std::unexpected(found.error());
  std::vector<std::string> names;
  names.reserve((*found)->children.size());
  for (const auto& [name, child] : (*found)->children) names.push_back(name);
  return names;
}

Outcome<void> DiskImage::make_directory(std::string_view path) {
  InodeRef here = root_;
  std::string_view rest = path;
  for (std::string_view part = next_component(rest); !part.empty(); part = next_component(rest)) {
    if (part == "..") return fail(std::errc::invalid_argument);
    const auto it = here->children.find(part);
    if (it != here->children.end()) {
      if (!it->second->directory) return fail(std::errc::not_a_directory);
      here = InodeRef(it->second);
      continue;
    }
    InodeRef made(new Inode(next_id_++, true, pool_));
    set_name(*here, part, made.get());
    pending_.push_back({PowerLossEffect::creation_undone, {here, std::string(part), {}, made}, {}});
    world_.hash_value(made->id);
    here = made;
  }
  return {};
}

Outcome<void> DiskImage::rename(std::string_view from, std::string_view to) {
  auto source = locate(from);
  if (!source) return std::unexpected(source.error());
  auto target = locate(to);
  if (!target) return std::unexpected(target.error());
  if (source->inode == nullptr) return fail(std::errc::no_such_file_or_directory);
  if (source->name.empty() || target->name.empty()) return fail(std::errc::invalid_argument);
  if (source->inode == target->inode) return {};
  const InodeRef moved(source->inode);
  const InodeRef replaced(target->inode);
  for (std::string_view rest = to, part = next_component(rest); source->inode->directory && !part.empty();) {
    const std::string_view above = to.substr(0, static_cast<std::size_t>(part.data() - to.data()));
    if (Inode* inode = find(above); inode == source->inode) return fail(std::errc::invalid_argument);
    part = next_component(rest);
  }
  if (replaced) {
    if (replaced->directory != moved->directory) {
      return fail(replaced->directory ? std::errc::is_a_directory : std::errc::not_a_directory);
    }
    if (replaced->directory && !replaced->children.empty()) return fail(std::errc::directory_not_empty);
    forget_size(*replaced);
  }
  PendingOp op{PowerLossEffect::rename_undone,
               {source->parent, std::string(source->name), moved, {}},
               {target->parent, std::string(target->name), replaced, moved}};
  set_name(*op.first.directory, op.first.name, nullptr);
  set_name(*op.second.directory, op.second.name, moved.get());
  pending_.push_back(std::move(op));
  world_.hash_value(moved->id);
  return {};
}

Outcome<void> DiskImage::remove(std::string_view path) {
  auto found = locate(path);
  if (!found) return std::unexpected(found.error());
  if (found->inode == nullptr) return fail(std::errc::no_such_file_or_directory);
  if (found->name.empty()) return fail(std::errc::invalid_argument);
  const InodeRef gone(found->inode);
  if (gone->directory && !gone->children.empty()) return fail(std::errc::directory_not_empty);
  forget_size(*gone);
  PendingOp op{PowerLossEffect::removal_undone, {found->parent, std::string(found->name), gone, {}}, {}};
  set_name(*op.first.directory, op.first.name, nullptr);
  pending_.push_back(std::move(op));
  world_.hash_value(gone->id);
  return {};
}

void DiskImage::forget_size(Inode& file) {
  if (file.counted) used_ -= file.content.size();
  file.counted = false;
}

void DiskImage::sync_names(Inode& directory) {
  std::erase_if(pending_, [&](const PendingOp& op) {
    return op.first.directory.get() == &directory || op.second.directory.get() == &directory;
  });
  world_.hash_value(directory.id);
}

bool DiskImage::fails(std::uint32_t& countdown, std::uint32_t ppm) {
  if (countdown != 0) {
    --countdown;
    return true;
  }
  return ppm != 0 && scale_to(world_.draw(errors_), 1'000'000) < ppm;
}

Outcome<std::size_t> DiskImage::write(Inode& file, std::string_view path, std::uint64_t offset,
                                      std::span<const ConstBuffer> buffers) {
  std::size_t total = 0;
  for (const ConstBuffer& buffer : buffers) total += buffer.size;
  std::size_t allowed = total;
  std::errc error = std::errc::io_error;
  if (applies(path) && fails(faults_.fail_writes, faults_.write_error_ppm)) {
    world_.count(FaultKind::write_error);
    allowed = scale_to(world_.draw(shorts_), total + 1) / 2;
  }
  const std::uint64_t grows_from = std::max(file.content.size(), offset);
  const std::uint64_t growth = offset + allowed > grows_from ? offset + allowed - file.content.size() : 0;
  if (growth > free_bytes()) {
    world_.count(FaultKind::full_disk);
    error = std::errc::no_space_on_device;
    const std::uint64_t over = growth - free_bytes();
    allowed = over > allowed ? 0 : allowed - over;
  }
  const std::uint64_t before = file.content.size();
  std::size_t done = 0;
  world_.hash_value(file.id);
  world_.hash_value(offset);
  for (const ConstBuffer& buffer : buffers) {
    const std::size_t n = std::min(buffer.size, allowed - done);
    if (n == 0) continue;
    const std::span<const std::byte> bytes(buffer.data, n);
    file.content.write(offset + done, bytes);
    world_.hash_bytes(bytes);
    done += n;
  }
  if (file.counted) used_ += file.content.size() - before;
  if (done < total && (done == 0 || (world_.draw(shorts_) & 1) != 0)) return fail(error);
  return done;
}

Outcome<std::size_t> DiskImage::read(Inode& file, std::string_view path, std::uint64_t offset,
                                     std::span<std::byte> into) {
  if (applies(path) && fails(faults_.fail_reads, faults_.read_error_ppm)) {
    world_.count(FaultKind::read_error);
    return fail(std::errc::io_error);
  }
  file.warm = true;
  return file.content.read(offset, into);
}

Outcome<void> DiskImage::truncate(Inode& file, std::string_view path, std::uint64_t size) {
  if (applies(path) && fails(faults_.fail_writes, faults_.write_error_ppm)) {
    world_.count(FaultKind::write_error);
    return fail(std::errc::io_error);
  }
  const std::uint64_t before = file.content.size();
  if (size > before && size - before > free_bytes()) {
    world_.count(FaultKind::full_disk);
    return fail(std::errc::no_space_on_device);
  }
  file.content.truncate(size);
  if (file.counted) used_ = used_ - before + size;
  world_.hash_value(file.id);
  world_.hash_value(size);
  return {};
}

std::error_code DiskImage::sync_error(Inode& file, std::string_view path) {
  if (!applies(path) || !fails(faults_.fail_syncs, faults_.sync_error_ppm)) return {};
  world_.count(FaultKind::sync_error, file.content.fail_sync());
  return std::make_error_code(std::errc::io_error);
}

Duration DiskImage::disturbed(const LatencyModel& model) {
  const LatencyModel::Sample sample = model.sample(world_.draw(latency_));
  const Duration slowed = sample.delay * static_cast<std::int64_t>(faults_.slowdown) + faults_.extra_latency;
  if (slowed != sample.delay) world_.count(FaultKind::disk_latency);
  return slowed;
}

Duration DiskImage::read_latency(std::string_view path) {
  return applies(path) ? disturbed(config_.read) : config_.read.sample(world_.draw(latency_)).delay;
}

Duration DiskImage::sync_latency(std::string_view path) {
  return applies(path) ? disturbed(config_.sync) : config_.sync.sample(world_.draw(latency_)).delay;
}

Duration DiskImage::append_stall(std::string_view path) {
  if (faults_.append_stall == Duration(0) || !applies(path)) return Duration(0);
  world_.count(FaultKind::disk_latency);
  return faults_.append_stall;
}

}  // namespace verdict::sim
