// The simulated disk: what a power loss may and may not do, errors, space, and the report of what was lost.
#include <map>

#include "tests/unit/sim/machine.h"

namespace verdict::sim::testing {
namespace {

struct DiskTest : ::testing::Test {
  void set_up(std::uint64_t seed = 1) {
    losses.entries.clear();
    WorldConfig config;
    config.seed = seed;
    config.loss_sink = &losses;
    world = std::make_unique<World>(config);
    node = world->add_node(node_of("node"));
    world->start(node);
  }
  Disk& disk() { return world->node(node).runtime()->disk(); }
  DiskImage& image() { return world->node(node).disk(); }
  std::unique_ptr<File> create(const std::string& path) {
    auto file = disk().open(path, OpenMode::create);
    VERDICT_ASSERT(file.has_value());
    return std::move(*file);
  }
  void crash(PowerLossPolicy policy = PowerLossPolicy::everything()) {
    world->power_loss(node, policy);
    world->start(node);
  }
  std::uint64_t count(FaultKind kind) const { return world->counters().of(kind); }

  Losses losses;
  std::unique_ptr<World> world;
  NodeIndex node;
};

std::string letters(std::size_t size, std::uint64_t seed) {
  std::string text(size, ' ');
  std::uint64_t bits = seed;
  for (std::size_t i = 0; i < size; ++i) {
    bits = i % 8 == 0 ? mix64(seed, i) : bits >> 8;
    text[i] = static_cast<char>('a' + (bits & 15));
  }
  return text;
}

TEST_F(DiskTest, AKillKeepsThePageCache) {
  set_up();
  EXPECT_FALSE(disk().open("no/such/file", OpenMode::create).has_value());
  ASSERT_TRUE(disk().make_directory("d").has_value());
  auto file = create("d/log");
  ASSERT_EQ(append(*file, "hello"), 5U);
  world->kill(node);
  file.reset();
  world->start(node);
  EXPECT_EQ(content_of(image(), "d/log"), "hello");
  EXPECT_TRUE(losses.entries.empty());
}

TEST_F(DiskTest, WhatWasSyncedSurvivesEveryPowerLoss) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    set_up(seed);
    auto file = create("log");
    const std::string synced = letters(1 + mix64(seed) % 20000, seed);
    ASSERT_TRUE(append(*file, synced).has_value());
    ASSERT_TRUE(file->sync_now().has_value());
    ASSERT_TRUE(disk().sync_directory_now("").has_value());
    const std::string later = letters(1 + mix64(seed, 1) % 20000, seed + 1);
    ASSERT_TRUE(append(*file, later).has_value());
    file.reset();
    crash();
    const std::string now = content_of(image(), "log");
    ASSERT_GE(now.size(), synced.size());
    ASSERT_EQ(now.substr(0, synced.size()), synced);
    // The losses are exactly the bytes that differ.
    const std::string before = synced + later;
    ASSERT_LE(now.size(), before.size());
    std::vector<bool> lost(before.size());
    for (const Losses::Entry& entry : losses.entries) {
      ASSERT_EQ(entry.path, "log");
      for (std::uint64_t i = entry.from; i < entry.to; ++i) lost[i] = true;
    }
    for (std::size_t i = 0; i < before.size(); ++i) {
      ASSERT_EQ(lost[i], i >= now.size() || now[i] != before[i]) << seed << " at " << i;
    }
    crash();  // nothing is dirty now
    ASSERT_EQ(content_of(image(), "log"), now);
  }
}

TEST_F(DiskTest, PoliciesBoundWhatAPowerLossDoes) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    set_up(seed);
    auto file = create("log");
    ASSERT_TRUE(append(*file, letters(9000, 1)).has_value());
    file.reset();
    crash(PowerLossPolicy::nothing_lost());
    ASSERT_EQ(content_of(image(), "log"), letters(9000, 1));
    ASSERT_TRUE(losses.entries.empty());
    file = create("log");
    ASSERT_TRUE(append(*file, letters(9000, 2)).has_value());
    ASSERT_TRUE(disk().remove("log").has_value());
    file = create("other");
    file.reset();
    crash(PowerLossPolicy::all_unsynced_lost());
    ASSERT_EQ(content_of(image(), "log"), letters(9000, 1));
    ASSERT_EQ(content_of(image(), "other"), "(absent)");
  }
}

// One round of a life that every effect can befall.
void live(DiskTest& test, std::uint64_t seed) {
  test.set_up(seed);
  Disk& disk = test.disk();
  auto cut = test.create("cut");
  auto log = test.create("log");
  auto table = test.create("table");
  ASSERT_TRUE(append(*cut, letters(10000, 1)).has_value());
  ASSERT_TRUE(append(*table, letters(30000, 2)).has_value());
  ASSERT_TRUE(cut->sync_now().has_value());
  ASSERT_TRUE(table->sync_now().has_value());
  test.create("doomed").reset();
  test.create("renamed.tmp").reset();
  ASSERT_TRUE(disk.sync_directory_now("").has_value());
  ASSERT_TRUE(append(*log, letters(30000, 3)).has_value());
  ASSERT_TRUE(cut->truncate_now(3000).has_value());
  ASSERT_TRUE(append(*cut, letters(500, 4)).has_value());
  for (std::uint64_t page : {0U, 2U, 5U}) {
    const std::string text = letters(3000, 5 + page);
    ASSERT_TRUE(table->write_at_now(std::as_bytes(std::span(text)), page * 4096 + 200).has_value());
  }
  ASSERT_TRUE(disk.make_directory("a").has_value());
  auto made = test.create("a/made");
  ASSERT_TRUE(append(*made, "made").has_value());
  ASSERT_TRUE(made->sync_now().has_value());  // does not cover its name
  ASSERT_TRUE(disk.remove("doomed").has_value());
  ASSERT_TRUE(disk.rename("renamed.tmp", "renamed").has_value());
}

TEST_F(DiskTest, OverAThousandPowerLossesEachEffectIsSeen) {
  std::array<std::uint64_t, kPowerLossEffectCount> seen{};
  const std::string synced = letters(30000, 2);
  const std::string old_cut = letters(10000, 1);
  std::string written = synced;
  for (const std::size_t page : {0U, 2U, 5U}) written.replace(page * 4096 + 200, 3000, letters(3000, 5 + page));
  std::uint64_t old_tail = 0, zero_tail = 0, undone_name = 0, undone_removal = 0, undone_rename = 0, bytes = 0;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    live(*this, seed);
    crash();
    for (std::size_t e = 0; e < kPowerLossEffectCount; ++e) {
      seen[e] += world->counters().effects[e] != 0 ? 1 : 0;
    }
    bytes += count(FaultKind::power_loss_bytes);
    const std::string cut = content_of(image(), "cut");
    old_tail += cut == old_cut;
    const std::string log = content_of(image(), "log");
    zero_tail += !log.empty() && log.back() == '\0';
    undone_name += content_of(image(), "a/made") == "(absent)";
    undone_removal += content_of(image(), "doomed").empty();
    undone_rename += content_of(image(), "renamed.tmp").empty();
    EXPECT_NE(content_of(image(), "renamed.tmp"), content_of(image(), "renamed"));
    // Bytes of `table` are old or new, by sector.
    const std::string table = content_of(image(), "table");
    ASSERT_EQ(table.size(), 30000U);
    for (std::size_t s = 0; s < 30000 / kSectorSize; ++s) {
      const std::string sector = table.substr(s * kSectorSize, kSectorSize);
      if (sector == synced.substr(s * kSectorSize, kSectorSize)) continue;
      ASSERT_EQ(sector, written.substr(s * kSectorSize, kSectorSize));
    }
  }
  for (std::size_t e = 0; e < kPowerLossEffectCount; ++e) {
    EXPECT_GT(seen[e], 20U) << name_of(static_cast<PowerLossEffect>(e));
    RecordProperty(std::string(name_of(static_cast<PowerLossEffect>(e))), static_cast<int>(seen[e]));
  }
  for (const std::uint64_t n : {old_tail, zero_tail, undone_name, undone_removal, undone_rename, bytes})
    EXPECT_GT(n, 20U);
}

TEST_F(DiskTest, WhoseNameIsUndoneMayBeThereUnderAnOlderOne) {
  set_up();
  for (const std::string path : {"log", "log.swap"}) {
    auto file = create(path);
    ASSERT_TRUE(append(*file, path).has_value());
    ASSERT_TRUE(file->sync_now().has_value());
  }
  ASSERT_TRUE(disk().sync_directory_now("").has_value());
  ASSERT_TRUE(disk().remove("log").has_value());
  ASSERT_TRUE(disk().rename("log.swap", "log").has_value());
  auto made = create("made");
  ASSERT_TRUE(append(*made, "made").has_value());
  ASSERT_TRUE(made->sync_now().has_value());
  made.reset();
  crash(PowerLossPolicy::all_unsynced_lost());
  EXPECT_EQ(content_of(image(), "log"), "log");
  EXPECT_EQ(content_of(image(), "log.swap"), "log.swap");
  ASSERT_EQ(losses.entries.size(), 2U);
  EXPECT_EQ(losses.entries[0].path, "log");
  EXPECT_EQ(losses.entries[0].cause, LossCause::name_undone);
  EXPECT_EQ(losses.entries[1].path, "made");
  EXPECT_EQ(losses.entries[1].cause, LossCause::power_loss);
}

TEST_F(DiskTest, ASyncThatFailsLeavesPagesCleanAndLost) {
  set_up();
  auto file = create("log");
  ASSERT_TRUE(disk().sync_directory_now("").has_value());
  ASSERT_TRUE(append(*file, letters(5000, 1)).has_value());
  DiskFaults faults;
  faults.fail_syncs = 1;
  world->set_disk_faults(node, faults);
  EXPECT_FALSE(file->sync_now().has_value());
  EXPECT_EQ(count(FaultKind::sync_error), 2U);
  EXPECT_TRUE(file->sync_now().has_value());  // nothing is dirty: a success that says nothing
  EXPECT_EQ(content_of(image(), "log"), letters(5000, 1));
  file.reset();
  crash();
  EXPECT_TRUE(content_of(image(), "log") == std::string(5000, '\0'));
  ASSERT_EQ(losses.entries.size(), 1U);
  EXPECT_EQ(losses.entries[0].to - losses.entries[0].from, 5000U);
}

TEST_F(DiskTest, ErrorsHitTheirPathAndAreCounted) {
  set_up();
  auto hit = create("topic-0");
  auto spared = create("other-0");
  DiskFaults faults;
  faults.path_part = "topic";
  faults.fail_reads = faults.fail_writes = 1;
  world->set_disk_faults(node, faults);
  ASSERT_EQ(append(*spared, "spared"), 6U);
  std::array<std::byte, 6> into{};
  EXPECT_EQ(spared->read_now(into, 0), 6U);
  EXPECT_EQ(count(FaultKind::read_error) + count(FaultKind::write_error), 0U);
  const Outcome<std::size_t> wrote = append(*hit, "hit");
  EXPECT_TRUE(!wrote.has_value() || *wrote < 3);
  EXPECT_LE(hit->size(), 1U);
  ASSERT_TRUE(hit->truncate_now(0).has_value());
  EXPECT_EQ(append(*hit, "hit"), 3U);
  EXPECT_EQ(hit->read_now(into, 0).error(), std::errc::io_error);
  EXPECT_EQ(hit->read_now(into, 0), 3U);
  EXPECT_EQ(count(FaultKind::read_error), 1U);
  EXPECT_EQ(count(FaultKind::write_error), 1U);
}

TEST_F(DiskTest, AFullDiskCutsWritesShort) {
  set_up();
  auto file = create("log");
  ASSERT_TRUE(append(*file, letters(1000, 1)).has_value());
  EXPECT_EQ(count(FaultKind::full_disk), 0U);
  world->set_disk_capacity(node, 1500);
  EXPECT_EQ(disk().free_space(""), 500U);
  const Outcome<std::size_t> wrote = append(*file, letters(1000, 2));
  EXPECT_TRUE(wrote.has_value() ? *wrote == 500 : wrote.error() == std::errc::no_space_on_device);
  EXPECT_EQ(count(FaultKind::full_disk), 1U);
  ASSERT_TRUE(file->truncate_now(1000).has_value());
  EXPECT_EQ(append(*file, letters(500, 2)), 500U);
  ASSERT_TRUE(disk().remove("log").has_value());
  EXPECT_EQ(disk().free_space(""), 1500U);
}

TEST_F(DiskTest, RotChangesColdBytesAndIsReported) {
  set_up();
  auto file = create("log");
  ASSERT_TRUE(append(*file, letters(20000, 1)).has_value());
  EXPECT_EQ(world->rot_bits(node, "log", 0), 0U);  // nothing is on the medium yet
  ASSERT_TRUE(file->sync_now().has_value());
  EXPECT_EQ(world->rot_bits(node, "absent", 0), 0U);
  const std::uint64_t changed = world->rot_bits(node, "log", 1);
  EXPECT_GT(changed, 0U);
  EXPECT_EQ(count(FaultKind::bit_rot), changed);
  const std::string written = letters(20000, 1);
  const std::string now = content_of(image(), "log");
  std::uint64_t differ = 0;
  for (std::size_t i = 0; i < now.size(); ++i) {
    const bool differs = now[i] != written[i];
    differ += differs;
    bool reported = false;
    for (const auto& entry : losses.entries)
      reported |= entry.cause == LossCause::bit_rot && i >= entry.from && i < entry.to;
    ASSERT_EQ(reported, differs);
  }
  EXPECT_EQ(differ, changed);
  std::string pristine(20000, ' ');
  image().find("log")->content.read_pristine(0, std::as_writable_bytes(std::span(pristine)));
  EXPECT_EQ(pristine, letters(20000, 1));
  world->lift_rot(node);
  EXPECT_EQ(content_of(image(), "log"), written);
  EXPECT_GT(world->rot_bits(node, "log", 2), 0U);
  EXPECT_NE(content_of(image(), "log"), written);
  ASSERT_TRUE(file->truncate_now(0).has_value());
  ASSERT_TRUE(append(*file, letters(20000, 1)).has_value());
  EXPECT_EQ(content_of(image(), "log"), letters(20000, 1));
}

TEST_F(DiskTest, AWipeLosesEverything) {
  set_up();
  auto file = create("log");
  ASSERT_TRUE(append(*file, "12345").has_value());
  file.reset();
  world->kill(node);
  world->wipe_disk(node);
  world->start(node);
  EXPECT_EQ(content_of(image(), "log"), "(absent)");
  EXPECT_EQ(count(FaultKind::wipe), 5U);
  ASSERT_EQ(losses.entries.size(), 1U);
  EXPECT_EQ(losses.entries[0].cause, LossCause::wipe);
}

TEST_F(DiskTest, AnOlderImageBringsBackWhatWasDurableThen) {
  set_up();
  ASSERT_TRUE(disk().make_directory("d").has_value());
  auto kept = create("d/kept");
  auto cut = create("d/cut");
  auto later_gone = create("d/gone");
  ASSERT_TRUE(append(*kept, letters(5000, 1)).has_value());
  ASSERT_TRUE(append(*cut, letters(6000, 2)).has_value());
  for (File* file : {kept.get(), cut.get(), later_gone.get()}) ASSERT_TRUE(file->sync_now().has_value());
  ASSERT_TRUE(disk().sync_directory_now("").has_value());
  ASSERT_TRUE(disk().sync_directory_now("d").has_value());
  ASSERT_TRUE(append(*kept, letters(100, 3)).has_value());  // not synced
  create("d/unborn").reset();                               // its name is not
  ASSERT_TRUE(cut->truncate_now(3000).has_value());         // nor this
  const std::uint64_t old_image = world->take_image(node);
  ASSERT_TRUE(append(*kept, letters(4000, 4)).has_value());
  ASSERT_TRUE(kept->sync_now().has_value());
  ASSERT_TRUE(cut->sync_now().has_value());
  later_gone.reset();
  ASSERT_TRUE(disk().remove("d/gone").has_value());
  create("d/new").reset();
  ASSERT_TRUE(disk().sync_directory_now("d").has_value());
  EXPECT_EQ(count(FaultKind::older_disk), 0U);
  kept.reset();
  cut.reset();
  world->power_loss(node, PowerLossPolicy::nothing_lost());
  world->restore_image(node, old_image);
  EXPECT_EQ(content_of(image(), "d/kept"), letters(5000, 1));
  EXPECT_EQ(content_of(image(), "d/cut"), letters(6000, 2));  // the old tail is back
  EXPECT_EQ(content_of(image(), "d/gone"), "");
  for (const char* path : {"d/unborn", "d/new"}) EXPECT_EQ(content_of(image(), path), "(absent)");
  EXPECT_EQ(count(FaultKind::older_disk), 4100U + 3000U);
  // The report is of the moment at which the image was taken.
  ASSERT_EQ(losses.entries.size(), 2U);
  EXPECT_EQ(losses.entries[1].path, "d/unborn");
  EXPECT_EQ(losses.entries[1].to, 0U);
  EXPECT_EQ(losses.entries[0].path, "d/kept");
  EXPECT_EQ(losses.entries[0].from, 5000U);
  EXPECT_EQ(losses.entries[0].to, 5100U);
  EXPECT_EQ(losses.entries[0].cause, LossCause::older_disk);
  world->start(node);
  crash(PowerLossPolicy::all_unsynced_lost());  // what came back is durable
  EXPECT_EQ(content_of(image(), "d/kept"), letters(5000, 1));
}

TEST_F(DiskTest, AMisdirectedWriteHitsTwoPlaces) {
  set_up();
  auto a = create("a.log");
  auto b = create("b.log");
  ASSERT_TRUE(append(*a, letters(9000, 1)).has_value());
  ASSERT_TRUE(append(*b, letters(9000, 2)).has_value());
  EXPECT_EQ(world->misdirect_write(node, ".log", 1), 0U);  // nothing is on the medium yet
  ASSERT_TRUE(a->sync_now().has_value());
  ASSERT_TRUE(b->sync_now().has_value());
  const std::uint64_t changed = world->misdirect_write(node, ".log", 1);
  EXPECT_GT(changed, 500U);
  EXPECT_EQ(count(FaultKind::misdirected_write), changed);
  std::uint64_t differ = 0, zeros = 0;
  for (const auto& [path, written] : {std::pair("a.log", letters(9000, 1)), std::pair("b.log", letters(9000, 2))}) {
    const std::string now = content_of(image(), path);
    ASSERT_EQ(now.size(), written.size());
    for (std::size_t i = 0; i < now.size(); ++i) {
      const bool differs = now[i] != written[i];
      differ += differs;
      zeros += now[i] == '\0';
      bool reported = false;
      for (const auto& entry : losses.entries) {
        reported |=
            entry.path == path && entry.cause == LossCause::misdirected_write && i >= entry.from && i < entry.to;
      }
      ASSERT_EQ(reported, differs) << path << " " << i;
    }
    std::string pristine(9000, ' ');
    image().find(path)->content.read_pristine(0, std::as_writable_bytes(std::span(pristine)));
    EXPECT_EQ(pristine, written);
  }
  EXPECT_EQ(differ, changed);
  EXPECT_GT(zeros, 200U);
}

// ---- files against a model: page cache and durable image, under random calls and crashes ----

TEST_F(DiskTest, RandomLivesAgreeWithAModel) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    set_up(seed);
    KeyedRandom random(seed);
    auto file = create("log");
    ASSERT_TRUE(disk().sync_directory_now("").has_value());
    std::string model;
    std::string synced;
    for (int step = 0; step < 60; ++step) {
      const std::uint64_t what = random.below(10);
      const std::uint64_t size = 1 + random.below(9000);
      const std::string text = letters(size, random.next());
      if (what < 4) {
        ASSERT_EQ(append(*file, text), text.size());
        model += text;
      } else if (what < 6) {
        const std::uint64_t at = random.below(model.size() + 5000);
        ASSERT_EQ(file->write_at_now(std::as_bytes(std::span(text)), at), text.size());
        if (model.size() < at + text.size()) model.resize(at + text.size(), '\0');
        model.replace(at, text.size(), text);
      } else if (what < 7) {
        const std::uint64_t to = random.below(model.size() + 1);
        ASSERT_TRUE(file->truncate_now(to).has_value());
        model.resize(to);
      } else if (what < 9) {
        ASSERT_TRUE(file->sync_now().has_value());
        synced = model;
      } else {
        if (random.below(2) == 0) {
          ASSERT_TRUE(file->sync_now().has_value());
          synced = model;
        }
        file.reset();
        crash(random.below(2) == 0 ? PowerLossPolicy::all_unsynced_lost() : PowerLossPolicy::data_only());
        const std::string now = content_of(image(), "log");
        if (synced == model) ASSERT_EQ(now, model) << seed << " " << step;
        model = synced = now;
        file = create("log");
      }
      ASSERT_EQ(content_of(image(), "log"), model) << seed << " " << step;
    }
  }
}

TEST_F(DiskTest, LosingAllThatIsUnsyncedGivesTheSyncedImage) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    set_up(seed);
    KeyedRandom random(seed);
    auto file = create("log");
    ASSERT_TRUE(disk().sync_directory_now("").has_value());
    std::string model, synced;
    for (int step = 0; step < 30; ++step) {
      const std::uint64_t size = 1 + random.below(9000);
      const std::string text = letters(size, random.next());
      if (random.below(3) != 0) {
        ASSERT_EQ(append(*file, text), text.size());
        model += text;
      } else {
        const std::uint64_t to = random.below(model.size() + 1);
        ASSERT_TRUE(file->truncate_now(to).has_value());
        model.resize(to);
      }
      if (random.below(5) == 0) {
        ASSERT_TRUE(file->sync_now().has_value());
        synced = model;
      }
    }
    file.reset();
    crash(PowerLossPolicy::all_unsynced_lost());
    ASSERT_EQ(content_of(image(), "log"), synced) << seed;
  }
}

}  // namespace
}  // namespace verdict::sim::testing
