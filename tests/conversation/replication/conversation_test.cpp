#include "tests/conversation/replication/conversation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <vector>

// Each file in tests/data/conversations/replication is one rule of the replication protocol, played to one replica.
// After an intended change: conversation_replication --regenerate, then review the diff.
namespace {

namespace fs = std::filesystem;

bool& regenerate() {
  static bool on = false;
  return on;
}

std::vector<std::string> conversations() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(VERDICT_SOURCE_DIR "/tests/data/conversations/replication")) {
    names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

class ReplicationConversation : public testing::TestWithParam<std::string> {};

TEST_P(ReplicationConversation, is_as_recorded) {
  const std::string path = VERDICT_SOURCE_DIR "/tests/data/conversations/replication/" + GetParam() + ".txt";
  std::ifstream file(path);
  const std::string recorded{std::istreambuf_iterator<char>(file), {}};
  ASSERT_FALSE(recorded.empty()) << path;
  const std::string replayed = verdict::replication::replay_conversation(recorded);
  if (regenerate()) {
    std::ofstream(path, std::ios::trunc) << replayed;
  } else {
    EXPECT_EQ(replayed, recorded);
  }
}

INSTANTIATE_TEST_SUITE_P(, ReplicationConversation, testing::ValuesIn(conversations()), [](const auto& info) {
  std::string name = info.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  regenerate() = std::any_of(argv + 1, argv + argc, [](std::string_view arg) { return arg == "--regenerate"; });
  return RUN_ALL_TESTS();
}
