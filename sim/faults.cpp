#include "sim/faults.h"

namespace verdict::sim {
namespace {

#define VERDICT_NAME(id, text, meaning) text,
constexpr std::array<std::string_view, kFaultKindCount> kFaultNames{VERDICT_FAULTS(VERDICT_NAME)};
#undef VERDICT_NAME
#define VERDICT_MEANING(id, text, meaning) meaning,
constexpr std::array<std::string_view, kFaultKindCount> kMeanings{VERDICT_FAULTS(VERDICT_MEANING)};
#undef VERDICT_MEANING
#define VERDICT_NAME(id, text) text,
constexpr std::array<std::string_view, kPowerLossEffectCount> kEffectNames{VERDICT_POWER_LOSS_EFFECTS(VERDICT_NAME)};
#undef VERDICT_NAME

}  // namespace

std::string_view name_of(FaultKind kind) { return kFaultNames[static_cast<std::size_t>(kind)]; }
std::string_view meaning_of(FaultKind kind) { return kMeanings[static_cast<std::size_t>(kind)]; }
std::string_view name_of(PowerLossEffect effect) { return kEffectNames[static_cast<std::size_t>(effect)]; }

std::optional<FaultKind> find_fault(std::string_view name) {
  for (std::size_t i = 0; i < kFaultNames.size(); ++i) {
    if (kFaultNames[i] == name) return static_cast<FaultKind>(i);
  }
  return std::nullopt;
}

}  // namespace verdict::sim
