// An older disk: what was durable at one moment, kept aside, comes back at a later one.
#include <algorithm>

#include "sim/disk.h"
#include "sim/world.h"

namespace verdict::sim {

// The tree of names as a power loss that undoes all it can would leave it.
DiskImage::Names DiskImage::durable_names() {
  Names names;
  std::vector<Inode*> todo{root_.get()};
  while (!todo.empty()) {
    Inode* here = todo.back();
    todo.pop_back();
    auto& children = names[here->id];
    for (const auto& [name, child] : here->children) {
      children.emplace(name, child);
      if (child->directory) todo.push_back(child);
    }
  }
  const auto undo = [&](const NameChange& change) {
    if (!change.directory) return;
    auto& children = names[change.directory->id];
    if (change.before) {
      children.insert_or_assign(change.name, change.before.get());
    } else {
      children.erase(change.name);
    }
  };
  for (auto op = pending_.rbegin(); op != pending_.rend(); ++op) {
    undo(op->second);
    undo(op->first);
  }
  return names;
}

void DiskImage::image_tree(const Names& names, const Inode& directory, const std::string& path, Image& into) const {
  const auto children = names.find(directory.id);
  if (children == names.end()) return;
  for (const auto& [name, child] : children->second) {
    const std::string below = path.empty() ? name : path + "/" + name;
    if (child->directory) {
      into.directories.push_back(below);
      image_tree(names, *child, below, into);
    } else {
      into.files[below].bytes = child->content.durable_bytes();
    }
  }
}

std::uint64_t DiskImage::take_image() {
  Image image;
  image_tree(durable_names(), *root_, "", image);
  walk(*root_, "", [&](const std::string& path, Inode& file) {
    const auto durable = image.files.find(path);
    if (durable == image.files.end()) {
      image.unborn.emplace_back(path, file.content.size());
    } else {
      durable->second.lost = file.content.differences(durable->second.bytes);
    }
  });
  images_.push_back(std::move(image));
  const std::uint64_t number = images_.size() - 1;
  if (world_.config().loss_sink != nullptr) world_.config().loss_sink->imaged(node_, number);
  return number;
}

// Bytes of today that the image does not have or has otherwise, and bytes of the image that are not there today.
std::uint64_t DiskImage::count_changes(const Image& image) {
  std::uint64_t changed = 0;
  walk(*root_, "", [&](const std::string& path, Inode& file) {
    const auto old = image.files.find(path);
    const std::span<const std::byte> bytes =
        old == image.files.end() ? std::span<const std::byte>() : std::span<const std::byte>(old->second.bytes);
    for (const ByteRange& range : file.content.differences(bytes)) changed += range.to - range.from;
  });
  for (const auto& [path, file] : image.files) {
    const Inode* today = find(path);
    const std::uint64_t there = today == nullptr || today->directory ? 0 : today->content.size();
    if (file.bytes.size() > there) changed += file.bytes.size() - there;
  }
  return changed;
}

void DiskImage::restore_image(std::uint64_t number) {
  const Image& image = images_.at(number);
  world_.count(FaultKind::older_disk, count_changes(image));
  pending_.clear();
  root_ = InodeRef(new Inode(0, true, pool_));
  for (const std::string& path : image.directories) static_cast<void>(make_directory(path));
  for (const auto& [path, old] : image.files) {
    const Outcome<InodeRef> file = open(path, OpenMode::create);
    VERDICT_ASSERT(file.has_value(), "an image holds the folders of its files");
    (*file)->content.write(0, old.bytes);
    (*file)->content.end_sync((*file)->content.begin_sync());
    (*file)->warm = false;
  }
  pending_.clear();
  recount();
  if (world_.config().loss_sink != nullptr) world_.config().loss_sink->restored(node_, number);
  for (const auto& [path, file] : image.files) {
    for (const ByteRange& range : file.lost) report(path, range.from, range.to, LossCause::older_disk);
  }
  for (const auto& [path, size] : image.unborn) report(path, 0, size, LossCause::older_disk);
}

}  // namespace verdict::sim
