#include <algorithm>
#include <array>
#include <map>

#include "protocol/controller/state.h"

// Finalized levels of features (KIP-584, KIP-778, KIP-1022).
namespace verdict::controller {
namespace {

namespace rec = protocol::records;
using Request = wire::UpdateFeaturesRequest;
using protocol::kMetadataFeature;

constexpr int kUpgradeTypesFrom = 1;
constexpr int kNoResultsFrom = 2;

// FeatureUpdate.UpgradeType; any other number is one that nobody knows. Version 0 has only a flag, which Kafka's
// controller doesn't look at: all of its updates are upgrades.
enum class UpgradeType : std::int8_t { upgrade = 1, safe_downgrade = 2, unsafe_downgrade = 3 };

std::optional<UpgradeType> upgrade_type(const Request::FeatureUpdateKey& update, int version) {
  if (version < kUpgradeTypesFrom) return UpgradeType::upgrade;
  if (update.upgrade_type < 1 || update.upgrade_type > 3) return std::nullopt;
  return static_cast<UpgradeType>(update.upgrade_type);
}

// Levels of metadata.version whose records an earlier level can't hold, from 3.3-IV3 (7) on.
constexpr std::array<std::int16_t, 8> kMetadataChangedAt{7, 8, 11, 13, 14, 15, 17, 23};

bool metadata_changed(std::int16_t from, std::int16_t to) {
  return std::ranges::any_of(kMetadataChangedAt, [&](std::int16_t level) { return level > to && level <= from; });
}

// Why a node that offers `range` can't live with `level`. No range, or one that ends at 0: the node lacks the feature.
std::optional<std::string> unsupported(const std::string& who, const protocol::FeatureRange& range,
                                       std::int16_t level) {
  if (level >= range.min && level <= range.max) return std::nullopt;
  if (range.max == 0) return who + " does not support this feature.";
  return who + " only supports versions " + std::to_string(range.min) +
         (range.min == range.max ? "" : "-" + std::to_string(range.max));
}

protocol::FeatureRange range_in(const std::vector<protocol::FeatureRange>& ranges, std::string_view feature) {
  const auto found = std::ranges::find(ranges, feature, &protocol::FeatureRange::name);
  return found == ranges.end() ? protocol::FeatureRange{.name = std::string(feature)} : *found;
}

class Update {
 public:
  Update(const protocol::MetadataImage& image, NodeId self, const Request::FeatureUpdateKey& wanted, int version)
      : image_(image),
        self_(self),
        name_(wanted.feature),
        level_(wanted.max_version_level),
        type_(upgrade_type(wanted, version)) {}

  // Kafka's sentence of what speaks against it.
  std::optional<std::string> refusal() const {
    if (auto why = bad_level()) {
      return "Invalid update version " + std::to_string(level_) + " for feature " + name_ + ". " + *why;
    }
    const std::int16_t current = protocol::feature_level(image_, name_);
    if (name_ != kMetadataFeature || level_ >= current || !metadata_changed(current, level_)) return std::nullopt;
    return "Invalid metadata.version " + std::to_string(level_) + ". " +
           (type_ == UpgradeType::unsafe_downgrade
                ? "Unsafe metadata downgrade is not supported in this version."
                : "Refusing to perform the requested downgrade because it might delete metadata information.");
  }
  rec::FeatureLevel record() const { return {.name = name_, .level = level_}; }

 private:
  std::optional<std::string> bad_level() const {
    if (!type_) return "The controller does not support the given upgrade type.";
    if (level_ < 0) return "A feature version cannot be less than 0.";
    const auto local = range_in(protocol::supported_features(), name_);
    if (auto why = unsupported("Local controller " + std::to_string(self_.value()), local, level_)) return why;
    for (const auto& [id, broker] : image_.brokers()) {
      const auto range = range_in(broker.features, name_);
      if (auto why = unsupported("Broker " + std::to_string(id.value()), range, level_)) return why;
    }
    const std::int16_t current = protocol::feature_level(image_, name_);
    if (level_ < current && type_ == UpgradeType::upgrade) {
      return "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe "
             "downgrade.";
    }
    if (level_ > current && type_ != UpgradeType::upgrade) return "Can't downgrade to a newer version.";
    if (local.max == 0) return "Feature " + name_ + " not found.";
    return std::nullopt;
  }

  const protocol::MetadataImage& image_;
  NodeId self_;
  std::string name_;
  std::int16_t level_;
  std::optional<UpgradeType> type_;
};

}  // namespace

// All of a request's updates or none; of a feature that it names twice the last one counts.
wire::UpdateFeaturesResponse Controller::State::update_features(const events_in::UpdateFeatures& event,
                                                                wire::Arena& arena, Effects& out) {
  const Request& request = event.request;
  std::map<std::string_view, const Request::FeatureUpdateKey*> updates;
  for (const auto& update : request.feature_updates) updates[update.feature] = &update;
  std::vector<MetadataRecord> records;
  for (const auto& [name, wanted] : updates) {
    const Update update(image, options.self, *wanted, event.version);
    if (const auto why = update.refusal()) {
      log(out, true, *why);
      return {.error_code = code(ErrorCode::INVALID_UPDATE_VERSION),
              .error_message =
                  arena.copy("The update failed for all features since the following feature had an error: " + *why)};
    }
    records.emplace_back(update.record());
  }
  wire::UpdateFeaturesResponse response;
  response.error_message = std::nullopt;
  if (event.version < kNoResultsFrom) {
    response.results =
        arena.make_span<wire::UpdateFeaturesResponse::UpdatableFeatureResult>(request.feature_updates.size());
    for (std::size_t i = 0; i < response.results.size(); ++i) {
      response.results[i] = {.feature = request.feature_updates[i].feature, .error_message = "NONE"};
    }
  }
  if (!request.validate_only) append(std::move(records), out);
  return response;
}

}  // namespace verdict::controller
