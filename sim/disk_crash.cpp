// What a power loss, a wipe or rot leaves of a disk, and the report of what it destroyed. Names first (a suffix of each
// directory's changes may be undone), then each file by itself (file_crash.cpp).
#include <algorithm>
#include <array>
#include <set>

#include "sim/disk.h"
#include "sim/world.h"

namespace verdict::sim {
namespace {

// A stable entity for draws about a file: its name.
std::uint64_t key_of(std::string_view path) {
  std::uint64_t key = 0xcbf29ce484222325U;
  for (const char c : path) key = (key ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return key;
}

}  // namespace

void DiskImage::walk(Inode& directory, const std::string& path, const Walk& visit) {
  for (const auto& [name, child] : directory.children) {
    const std::string below = path.empty() ? name : path + "/" + name;
    if (child->directory) {
      walk(*child, below, visit);
    } else {
      visit(below, *child);
    }
  }
}

void DiskImage::report(std::string_view path, std::uint64_t from, std::uint64_t to, LossCause cause) {
  if (from != to) {
    if (cause == LossCause::power_loss || cause == LossCause::name_undone)
      world_.count(FaultKind::power_loss_bytes, to - from);
    world_.hash_value(from);
    world_.hash_value(to);
  }
  if (world_.config().loss_sink != nullptr) world_.config().loss_sink->lost({node_, path, from, to, cause});
}

void DiskImage::recount() {
  used_ = 0;
  walk(*root_, "", [&](const std::string&, Inode& file) {
    file.counted = true;
    used_ += file.content.size();
  });
}

void DiskImage::undo(NameChange& change) {
  if (!change.directory) return;
  set_name(*change.directory, change.name, change.before.get());
}

// In order of the changes: once one of a directory is undone, all later ones of it are, and all inside a directory
// whose creation is.
std::vector<bool> DiskImage::choose_undone(PowerLossPolicy policy) {
  std::vector<bool> undone(pending_.size());
  std::vector<std::uint64_t> cut;  // ids of directories whose later changes are undone
  const auto is_cut = [&](const InodeRef& directory) {
    return directory && std::find(cut.begin(), cut.end(), directory->id) != cut.end();
  };
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    const PendingOp& op = pending_[i];
    bool lose = is_cut(op.first.directory) || is_cut(op.second.directory);
    if (!lose && policy.allows(op.undo)) {
      KeyedRandom source =
          world_.keyed(Draw::power_loss_name, mix64(mix64(key_of(op.first.name) + i, node_.value()), power_losses_));
      lose = policy.lose_all() || scale_to(world_.draw(source), 6) == 0;
    }
    if (!lose) continue;
    undone[i] = true;
    cut.push_back(op.first.directory->id);
    if (op.second.directory) cut.push_back(op.second.directory->id);
    if (op.first.after && op.first.after->directory) cut.push_back(op.first.after->id);
  }
  return undone;
}

void DiskImage::undo_names(PowerLossPolicy policy) {
  if (pending_.empty()) return;
  std::map<std::string, std::pair<InodeRef, std::uint64_t>> before;
  walk(*root_, "", [&](const std::string& path, Inode& file) {
    before.emplace(path, std::pair(InodeRef(&file), file.content.size()));
  });
  const std::vector<bool> undone = choose_undone(policy);
  for (std::size_t i = pending_.size(); i-- > 0;) {
    if (!undone[i]) continue;
    world_.counters().add(pending_[i].undo);
    undo(pending_[i].second);
    undo(pending_[i].first);
  }
  std::set<std::uint64_t> named;
  walk(*root_, "", [&](const std::string&, Inode& file) { named.insert(file.id); });
  for (const auto& [path, file] : before) {
    const Inode* there = find(path);
    if (there == file.first.get()) continue;
    const bool older = there != nullptr && there->content.size() != 0;
    const bool kept = older || named.contains(file.first->id);
    report(path, 0, file.second, kept ? LossCause::name_undone : LossCause::power_loss);
  }
  pending_.clear();
}

void DiskImage::crash_files(PowerLossPolicy policy) {
  walk(*root_, "", [&](const std::string& path, Inode& file) {
    file.warm = false;
    if (file.content.clean()) return;
    KeyedRandom source = world_.keyed(Draw::power_loss_file, mix64(mix64(key_of(path), node_.value()), power_losses_));
    const CrashResult result = file.content.crash(policy, [&] { return world_.draw(source); });
    for (std::size_t e = 0; e < kPowerLossEffectCount; ++e) {
      if (result.has(static_cast<PowerLossEffect>(e))) world_.counters().add(static_cast<PowerLossEffect>(e));
    }
    for (const ByteRange& range : result.lost) report(path, range.from, range.to, LossCause::power_loss);
    world_.hash_value(file.content.size());
  });
}

void DiskImage::power_loss(PowerLossPolicy policy) {
  ++power_losses_;
  process_died();
  undo_names(policy);
  crash_files(policy);
  recount();
}

void DiskImage::process_died() {
  walk(*root_, "", [](const std::string&, Inode& file) { file.locked = false; });
}

void DiskImage::lift_rot() {
  walk(*root_, "", [](const std::string&, Inode& file) { file.content.lift_rot(); });
}

// A file with bytes on the medium, `least` at the least.
std::optional<std::pair<std::string, InodeRef>> DiskImage::choose_durable(std::string_view path_part,
                                                                          KeyedRandom& source, std::uint64_t least) {
  std::vector<std::pair<std::string, InodeRef>> candidates;
  walk(*root_, "", [&](const std::string& path, Inode& file) {
    if (path.find(path_part) != path.npos && file.content.durable_size() >= least)
      candidates.emplace_back(path, InodeRef(&file));
  });
  if (candidates.empty()) return std::nullopt;
  return std::move(candidates[scale_to(world_.draw(source), candidates.size())]);
}

// What rots is cold: synced, not dirty, and no longer in the page cache afterwards.
std::uint64_t DiskImage::rot_bits(std::string_view path_part, std::uint64_t ordinal) {
  KeyedRandom source = world_.keyed(Draw::rot, mix64(mix64(key_of(path_part), node_.value()), ordinal));
  const auto chosen = choose_durable(path_part, source, 1);
  if (!chosen) return 0;
  FileContent& content = chosen->second->content;
  const std::uint64_t first = scale_to(world_.draw(source), content.durable_size());
  const std::uint64_t length = 1 + scale_to(world_.draw(source), 16);
  std::uint64_t changed = 0;
  for (std::uint64_t at = first; at < first + length; ++at) {
    const auto mask = static_cast<std::byte>(1U << scale_to(world_.draw(source), 8));
    if (!content.rot(at, mask)) continue;
    ++changed;
    report(chosen->first, at, at + 1, LossCause::bit_rot);
  }
  chosen->second->warm = false;
  world_.count(FaultKind::bit_rot, changed);
  return changed;
}

std::uint64_t DiskImage::misdirect_write(std::string_view path_part, std::uint64_t ordinal) {
  KeyedRandom source = world_.keyed(Draw::misdirect, mix64(mix64(key_of(path_part), node_.value()), ordinal));
  const auto written = choose_durable(path_part, source, 1);
  if (!written) return 0;
  const auto victim = choose_durable(path_part, source, 1);
  const auto sector_of = [&](const FileContent& content) {
    return scale_to(world_.draw(source), (content.durable_size() + kSectorSize - 1) / kSectorSize) * kSectorSize;
  };
  FileContent& from = written->second->content;
  FileContent& over = victim->second->content;
  const std::uint64_t here = sector_of(from);
  const std::uint64_t there = sector_of(over);
  std::array<std::byte, kSectorSize> sector{};
  std::array<std::byte, kSectorSize> covered{};
  const std::size_t sent = from.read_pristine(here, sector);
  const std::size_t hit = std::min(sent, over.read_pristine(there, covered));
  std::uint64_t changed = 0;
  const auto put = [&](const std::string& path, FileContent& content, std::uint64_t at, std::byte mask) {
    if (!content.rot(at, mask)) return;
    ++changed;
    report(path, at, at + 1, LossCause::misdirected_write);
  };
  for (std::size_t i = 0; i < hit; ++i) put(victim->first, over, there + i, sector[i] ^ covered[i]);
  for (std::size_t i = 0; i < sent; ++i) put(written->first, from, here + i, sector[i]);
  written->second->warm = victim->second->warm = false;
  world_.count(FaultKind::misdirected_write, changed);
  return changed;
}

void DiskImage::wipe() {
  pending_.clear();
  walk(*root_, "", [&](const std::string& path, Inode& file) {
    world_.count(FaultKind::wipe, file.content.size());
    report(path, 0, file.content.size(), LossCause::wipe);
  });
  root_ = InodeRef(new Inode(0, true, pool_));
  used_ = 0;
}

}  // namespace verdict::sim
