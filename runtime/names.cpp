#include "runtime/names.h"

#include <array>

namespace verdict {
namespace {

#define VERDICT_NAME(id, text) text,
constexpr std::array<std::string_view, kDefectCount> kDefectNames{VERDICT_DEFECTS(VERDICT_NAME)};
constexpr std::array<std::string_view, kMarkCount> kMarkNames{VERDICT_MARKS(VERDICT_NAME)};
constexpr std::array<std::string_view, kSiteCount> kSiteNames{VERDICT_SITES(VERDICT_NAME)};
constexpr std::array<std::string_view, kPurposeCount> kPurposeNames{VERDICT_PURPOSES(VERDICT_NAME)};
#undef VERDICT_NAME

template <class Enum, std::size_t N>
std::optional<Enum> find_in(const std::array<std::string_view, N>& names, std::string_view name) {
  for (std::size_t i = 0; i < N; ++i) {
    if (names[i] == name) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view name_of(Defect id) { return kDefectNames[static_cast<std::size_t>(id)]; }
std::string_view name_of(Mark id) { return kMarkNames[static_cast<std::size_t>(id)]; }
std::string_view name_of(Site id) { return kSiteNames[static_cast<std::size_t>(id)]; }
std::string_view name_of(Purpose id) { return kPurposeNames[static_cast<std::size_t>(id)]; }
std::optional<Defect> find_defect(std::string_view name) { return find_in<Defect>(kDefectNames, name); }
std::optional<Mark> find_mark(std::string_view name) { return find_in<Mark>(kMarkNames, name); }
std::optional<Site> find_site(std::string_view name) { return find_in<Site>(kSiteNames, name); }

}  // namespace verdict
