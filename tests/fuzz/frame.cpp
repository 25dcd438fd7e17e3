// Any bytes as a request, as its answer and as any message of the registry: they are refused, or decode into something
// that encodes into bytes with the same meaning.
#include "protocol/wire/framing.h"
#include "protocol/wire/registry.h"
#include "runtime/assert.h"
#include "tests/fuzz/input.h"

namespace {

void round_trip(const verdict::wire::MessageInfo& info, int version, std::span<const std::byte> body) {
  const auto json = verdict::wire::bytes_to_json(info, version, body);
  if (!json) return;
  const auto again = verdict::wire::json_to_bytes(info, version, *json);
  VERDICT_ASSERT(again, "what was decoded must encode");
  const auto json_again = verdict::wire::bytes_to_json(info, version, *again);
  VERDICT_ASSERT(json_again && *json_again == *json, "a message changes on its way");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = verdict::fuzz::bytes_of(data, size);
  if (const auto header = verdict::wire::parse_request_header(bytes); header && header->version_known) {
    const auto* info = verdict::wire::find_request(static_cast<int>(header->api));
    VERDICT_ASSERT(info != nullptr, "a known version of an unknown api");
    round_trip(*info, header->version, std::span(bytes).subspan(header->body_offset));
  }
  if (size < 3) return 0;
  const auto all = verdict::wire::all_messages();
  const std::size_t which = (std::size_t{data[0]} << 8U | data[1]) % all.size();
  round_trip(*all[which], data[2] % 20, std::span(bytes).subspan(3));
  return 0;
}
