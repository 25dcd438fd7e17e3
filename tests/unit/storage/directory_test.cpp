#include <gtest/gtest.h>

#include "storage/log_directory.h"
#include "storage/partition_metadata.h"
#include "tests/unit/storage/memory_disk.h"

namespace verdict::storage {
namespace {

using testing::MemoryRuntime;

void put(MemoryRuntime& runtime, const std::string& path, std::string_view text) {
  ASSERT_TRUE(replace_file_now(runtime.disk(), path, text));
}

TEST(LogDirectory, RoundTrip) {
  MemoryRuntime runtime;
  const Uuid id{1, 2};
  const MetaProperties meta{"cluster", 3, Uuid{5, 6}};
  {
    auto directory = LogDirectory::open(runtime, "data").value();
    EXPECT_FALSE(directory->clean());
    EXPECT_FALSE(directory->meta());
    ASSERT_TRUE(directory->write_meta(meta));
    ASSERT_TRUE(directory->create_partition({"a-topic", 7}, id));
    ASSERT_TRUE(directory->create_partition({"gone", 0}, id));
    EXPECT_FALSE(LogDirectory::open(runtime, "data")) << "locked";
    ASSERT_TRUE(directory->mark_deleted({"gone", 0}, Uuid{9, 9}));
    ASSERT_TRUE(runtime.run(directory->write_recovery_points({{{"a-topic", 7}, Offset(40)}})));
    ASSERT_TRUE(runtime.run(directory->write_high_watermarks({{{"a-topic", 7}, Offset(30)}})));
    ASSERT_TRUE(directory->write_clean_shutdown(12));
  }
  for (const bool clean : {true, false}) {
    auto directory = LogDirectory::open(runtime, "data").value();
    EXPECT_EQ(directory->clean(), clean);
    EXPECT_EQ(directory->previous_broker_epoch(), clean ? 12 : -1);
    EXPECT_EQ(directory->meta(), meta);
    ASSERT_EQ(directory->partitions().size(), 1U);
    EXPECT_EQ(directory->partitions()[0].name, (PartitionName{"a-topic", 7}));
    EXPECT_EQ(directory->partitions()[0].topic_id, id);
    EXPECT_EQ(directory->open_input({"a-topic", 7}).recovery_point, Offset(40));
    EXPECT_EQ(directory->high_watermark({"a-topic", 7}), Offset(30));
  }
}

TEST(LogDirectory, AHighWatermarkIsLoweredInPlaceAlsoBesideAWrite) {
  const PartitionName one{"a-topic", 7}, other{"a-topic", 8};
  for (const bool beside : {false, true}) {
    MemoryRuntime runtime;
    {
      auto directory = LogDirectory::open(runtime, "data").value();
      ASSERT_TRUE(runtime.run(directory->write_high_watermarks({{one, Offset(30)}, {other, Offset(40)}})));
      EXPECT_FALSE(directory->lower_high_watermark_now({"absent", 1}, Offset(0)).value());
      EXPECT_FALSE(directory->lower_high_watermark_now(one, Offset(30)).value());
      if (beside) {
        bool once = true;
        runtime.disk().fault = [&](std::string_view call, const std::string&) {
          if (call == "rename" && std::exchange(once, false)) {
            EXPECT_TRUE(directory->lower_high_watermark_now(one, Offset(10)).value());
          }
          return std::error_code();
        };
        EXPECT_TRUE(runtime.run(directory->write_high_watermarks({{one, Offset(35)}, {other, Offset(40)}})));
        EXPECT_FALSE(once);
        runtime.disk().fault = nullptr;
      } else {
        EXPECT_TRUE(directory->lower_high_watermark_now(one, Offset(10)).value());
      }
    }
    const auto directory = LogDirectory::open(runtime, "data").value();
    EXPECT_EQ(directory->high_watermark(one), Offset(10));
    EXPECT_EQ(directory->high_watermark(other), Offset(40));
  }
}

TEST(LogDirectory, ClearErrors) {
  const auto error_with = [](std::string_view file, std::string_view text, bool folder = false) {
    MemoryRuntime runtime;
    EXPECT_TRUE(runtime.disk().make_directory("data"));
    if (folder) {
      EXPECT_TRUE(runtime.disk().make_directory("data/" + std::string(file)));
    } else {
      put(runtime, "data/" + std::string(kCleanShutdownFile), format_clean_shutdown(1));
      if (file.find('/') != file.npos) {
        EXPECT_TRUE(runtime.disk().make_directory("data/" + std::string(file.substr(0, file.find('/')))));
      }
      put(runtime, "data/" + std::string(file), text);
    }
    const auto opened = LogDirectory::open(runtime, "data");
    return opened ? std::string() : opened.error().message;
  };
  EXPECT_EQ(error_with("photos", "", true).find("data/photos: "), 0U);
  EXPECT_EQ(error_with("topic-x", "", true).find("data/topic-x: "), 0U);
  EXPECT_EQ(error_with("lost+found", "", true), "");
  EXPECT_NE(error_with("meta.properties", "version=0\ncluster.id=x\nnode.id=1\n").find("version"), std::string::npos);
  EXPECT_NE(error_with("meta.properties", "version=1\ncluster.id=x\nnode.id=one\n").find("node.id"), std::string::npos);
  EXPECT_NE(error_with("meta.properties", "version=1\nnode.id=1\n").find("cluster.id"), std::string::npos);
  EXPECT_NE(error_with("recovery-point-offset-checkpoint", "0\n2\na 0 1\n").find("promises 2"), std::string::npos);
  EXPECT_NE(error_with("recovery-point-offset-checkpoint", "0\n1\na 0 x\n").find("line 3"), std::string::npos);
  EXPECT_NE(error_with("t-0/partition.metadata", "version: 1\n").find("line 1"), std::string::npos);
}

}  // namespace
}  // namespace verdict::storage
