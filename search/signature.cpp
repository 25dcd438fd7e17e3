#include "search/signature.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>
#include <vector>

namespace verdict::search {
namespace {

using scenarios::RunOutcome;
using scenarios::RunResult;
using scenarios::WitnessLine;

bool digit(char c) { return c >= '0' && c <= '9'; }
bool word(char c) { return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Replaces `what` where it stands as a word of its own.
std::string replaced(std::string text, std::string_view what, std::string_view by) {
  if (what.empty()) return text;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos;) {
    const std::size_t end = at + what.size();
    const bool whole = (at == 0 || !word(text[at - 1])) && (end == text.size() || !word(text[end]));
    if (whole) text.replace(at, what.size(), by);
    at += whole ? by.size() : 1;
  }
  return text;
}

std::size_t skip_number(std::string_view text, std::size_t at) {
  const bool hex = text.substr(at).starts_with("0x");
  if (hex) at += 2;
  while (at < text.size() && (digit(text[at]) || (hex && std::isxdigit(static_cast<unsigned char>(text[at])) != 0)))
    ++at;
  return at;
}

// A member id ends with a UUID, which is drawn: "one-69cd2aac-5219-432e-9528-d2ac03b62b57" is "one-U".
std::string without_uuids(std::string text) {
  constexpr std::string_view kForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  const auto is_uuid = [&](std::size_t at) {
    for (std::size_t i = 0; i < kForm.size(); ++i) {
      const char c = text[at + i];
      if (kForm[i] == '-' ? c != '-' : std::isxdigit(static_cast<unsigned char>(c)) == 0) return false;
    }
    return true;
  };
  for (std::size_t at = 0; at + kForm.size() <= text.size(); ++at) {
    if (is_uuid(at)) text.replace(at, kForm.size(), "U");
  }
  return text;
}

// "#, #, #" and "#..#" are one "#".
std::string without_lists(std::string text) {
  for (const std::string_view list : {std::string_view("#, #"), std::string_view("# #"), std::string_view("#..#")}) {
    for (std::size_t at; (at = text.find(list)) != std::string::npos;) text.replace(at, list.size(), "#");
  }
  return text;
}

// What the nodes' histories in the witnesses come to. Words of checker/white_box.cpp.
struct Act {
  std::string_view begins;  // of the witness's text
  std::string_view name;
};
constexpr std::array kActs = {
    Act{"truncates its log", "truncate"},
    Act{"leads in epoch", "lead"},
    Act{"loses its copy", "disk loss"},
    Act{"opens its log", "restart"},
    Act{"is killed", "restart"},
    Act{"loses power", "restart"},
    Act{"stops", "restart"},
    Act{"starts", "restart"},
    Act{"joins the ISR with log end", "join below"},
};
constexpr std::size_t kActsShown = 2;

std::string_view act_of(const WitnessLine& witness) {
  for (const Act& act : kActs) {
    if (witness.text.starts_with(act.begins)) return act.name;
  }
  return {};
}

// The broker that the violation is about: the one that its last witness or the sentence names.
std::optional<std::int32_t> named_broker(std::string_view text) {
  const std::size_t at = text.find("broker ");
  if (at == std::string_view::npos) return std::nullopt;
  std::int32_t id = 0;
  std::size_t i = at + 7;
  for (; i < text.size() && digit(text[i]) && id < 100'000; ++i) id = id * 10 + (text[i] - '0');
  if (i == at + 7) return std::nullopt;
  return id;
}

// The last acts of that broker before the violation, oldest first; the same twice in a row counts once.
std::string last_acts(const RunResult& result) {
  if (result.witnesses.empty()) return {};
  auto subject = named_broker(result.witnesses.back().text);
  if (!subject) subject = named_broker(result.sentence);
  if (!subject) subject = result.witnesses.back().node;
  std::vector<std::string_view> acts;
  for (std::size_t i = result.witnesses.size() - 1; i-- > 0 && acts.size() < kActsShown;) {
    if (result.witnesses[i].node != *subject) continue;
    const std::string_view act = act_of(result.witnesses[i]);
    if (!act.empty() && (acts.empty() || acts.back() != act)) acts.push_back(act);
  }
  std::string out;
  for (auto act = acts.rbegin(); act != acts.rend(); ++act) {
    out += out.empty() ? "after " : ", ";
    out += *act;
  }
  return out;
}

}  // namespace

std::string canonical_text(std::string_view text, std::string_view partition) {
  std::string named = replaced(without_uuids(std::string(text)), partition, "P");
  if (const std::size_t dash = partition.rfind('-'); dash != std::string_view::npos)
    named = replaced(std::move(named), partition.substr(0, dash), "T");
  std::string out;
  for (std::size_t i = 0; i < named.size();) {
    const bool inside = i > 0 && word(named[i - 1]);  // of a word: "utf8" stays
    if (!digit(named[i]) || inside) {
      out += named[i++];
      continue;
    }
    if (!out.empty() && out.back() == '-' && (out.size() < 2 || !word(out[out.size() - 2]))) out.pop_back();
    out += '#';
    i = skip_number(named, i);
  }
  return without_lists(std::move(out));
}

std::string signature(const RunResult& result) {
  if (result.outcome == RunOutcome::pass || result.outcome == RunOutcome::inconclusive) return {};
  std::string out = result.invariant.empty() ? std::string(scenarios::name_of(result.outcome)) : result.invariant;
  std::string sentence = canonical_text(result.sentence, result.partition);
  // Whether a client had already been told of it is chance.
  if (sentence.starts_with("acknowledged offset")) sentence.replace(0, 12, "committed");
  out += ": " + sentence;
  if (result.outcome != RunOutcome::violation) return out;
  if (!result.witnesses.empty() && result.witnesses.back().node >= 0)
    out += "; " + canonical_text(result.witnesses.back().text, result.partition);
  if (const std::string acts = last_acts(result); !acts.empty()) out += "; " + acts;
  return out;
}

}  // namespace verdict::search
