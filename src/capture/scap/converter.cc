#include "capture/scap/converter.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/bytes.h"
#include "base/text.h"

namespace quell::capture::scap {
namespace {

constexpr size_t kMaxStored = 262144;      // threads
constexpr size_t kMaxStoredBytes = 65535;  // of one enter event
constexpr size_t kKeptCapacity = 4096;     // of the buffer of a thread whose enter event is used up
constexpr int kMaxRounds = 50;             // the longest chain of upgrades has about ten

enum class Action : uint8_t { pass, store, store_and_pass, add_params, change_type };
enum class From : uint8_t { old_param, enter_or_default, enter_or_empty, default_value, no_value, container_json };

struct Source {
  From from;
  uint8_t index;
};
constexpr size_t kMaxSources = 24;

struct Conversion {
  uint16_t code;
  uint8_t nparams;
  Action action;
  uint16_t new_code;
  uint8_t source_count;
  std::array<Source, kMaxSources> sources;
};

template <typename... S>
constexpr Conversion row(uint16_t code, uint8_t nparams, Action action, uint16_t new_code, S... sources) {
  static_assert(sizeof...(S) <= kMaxSources);
  return {code, nparams, action, new_code, sizeof...(S), {sources...}};
}

namespace target {
using namespace ev;
constexpr uint16_t none = UINT16_MAX;
}  // namespace target

#define SOURCES(...) __VA_OPT__(, ) __VA_ARGS__
#define OLD(i) \
  Source { From::old_param, i }
#define ENTER_D(i) \
  Source { From::enter_or_default, i }
#define ENTER_E(i) \
  Source { From::enter_or_empty, i }
#define DEFAULT \
  Source { From::default_value, 0 }
#define EMPTY \
  Source { From::no_value, 0 }
#define CALLBACK \
  Source { From::container_json, 0 }
#define CONVERT(event, nparams, action, to, sources) row(ev::event, nparams, Action::action, target::to sources),
constexpr Conversion kConversions[] = {
#include "capture/scap/conversion_table.inc"
};
#undef CONVERT
#undef CALLBACK
#undef EMPTY
#undef DEFAULT
#undef ENTER_E
#undef ENTER_D
#undef OLD
#undef SOURCES

static_assert(std::is_sorted(std::begin(kConversions), std::end(kConversions),
                             [](const Conversion& a, const Conversion& b) {
                               return a.code != b.code ? a.code < b.code : a.nparams < b.nparams;
                             }),
              "rows are found by their position");
static_assert(std::all_of(std::begin(kConversions), std::end(kConversions),
                          [](const Conversion& c) {
                            return (c.action != Action::store && c.action != Action::store_and_pass) || c.nparams <= 8;
                          }),
              "a stored enter event keeps eight lengths");

/// Where the rows of each code begin; the row of the next code ends them.
std::array<uint16_t, kEventCodeCount + 1> index_rows() {
  std::array<uint16_t, kEventCodeCount + 1> first{};
  size_t at = 0;
  for (uint16_t code = 0; code <= kEventCodeCount; ++code) {
    while (at < std::size(kConversions) && kConversions[at].code < code) ++at;
    first[code] = static_cast<uint16_t>(at);
  }
  return first;
}

const Conversion* find_conversion(uint16_t code, uint32_t nparams) {
  static const auto first = index_rows();
  for (size_t i = first[code]; i < first[code + 1]; ++i)
    // The oldest container event was written with fewer parameters too; they read as empty.
    if (kConversions[i].nparams == nparams || code == ev::CONTAINER_E) return &kConversions[i];
  return nullptr;
}

Param default_param(ParamType type) {
  static constexpr uint8_t kZeros[16] = {};
  static constexpr uint8_t kOnes[4] = {0xFF, 0xFF, 0xFF, 0xFF};
  if (type == ParamType::uid || type == ParamType::gid) return {kOnes, 4};
  return {kZeros, fixed_width(type)};
}

/// A number that grew narrower over the versions keeps its low bytes.
Param fitted(Param param, ParamType type) {
  const uint32_t width = fixed_width(type);
  if (width > 0 && param.len > width) param.len = width;
  return param;
}

CodeRules make_code_rules() {
  CodeRules rules;
  for (uint16_t code = 0; code < kEventCodeCount; ++code) {
    const EventSpec& spec = kEventTable[code];
    CodeRule& rule = rules[code];
    rule.nparams = static_cast<uint8_t>(spec.params.size());
    rule.wide = spec.has(kEvLargePayload);
    const bool enter = spec.dir == EventDir::enter, old = spec.has(kEvOldVersion);
    rule.state_only = enter && spec.source == EventClass::syscall;
    using Verdict = CodeRule::Verdict;
    if (spec.has(kEvUnused))
      rule.verdict = Verdict::drop;
    else if (!spec.has(kEvConverterManaged))
      rule.verdict = old && enter ? Verdict::drop : Verdict::pass;
    else
      rule.verdict = enter || old ? Verdict::convert : Verdict::pass_if_complete;
  }
  return rules;
}

}  // namespace

const CodeRules& code_rules() {
  static const CodeRules rules = make_code_rules();
  return rules;
}

Converter::Outcome Converter::convert(LooseEvent& event) {
  static const CodeRules& rules = code_rules();
  const auto entry = stored_.find(event.tid);
  Stored* enter = entry != stored_.end() && entry->second.live ? &entry->second : nullptr;
  bool enter_used = false;
  const auto finish = [&](Outcome outcome) {
    if (enter_used) enter->live = false;
    return outcome;
  };

  for (int round = 0; round < kMaxRounds; ++round) {
    const CodeRule& rule = rules[event.code];
    event.nparams = std::min<uint32_t>(event.nparams, rule.nparams);  // a newer writer's surplus
    switch (rule.verdict) {
      case CodeRule::Verdict::drop: return finish(Outcome::merged);
      case CodeRule::Verdict::pass: return finish(Outcome::pass);
      case CodeRule::Verdict::pass_if_complete:
        if (event.nparams == rule.nparams) return finish(Outcome::pass);
        break;
      case CodeRule::Verdict::convert: break;
    }
    const Conversion* conversion = find_conversion(event.code, event.nparams);
    if (conversion == nullptr) {
      // A current event with a number of parameters that no release wrote: what it has is right, the rest reads as
      // empty.
      return finish(rule.verdict == CodeRule::Verdict::pass_if_complete ? Outcome::pass : Outcome::unknown);
    }
    switch (conversion->action) {
      case Action::pass: return finish(Outcome::pass);
      case Action::store: store(event); return Outcome::merged;
      case Action::store_and_pass: store(event); return Outcome::pass;
      case Action::add_params:
      case Action::change_type: break;
    }

    const bool fresh = conversion->action == Action::change_type;
    const EventCode code = fresh ? static_cast<EventCode>(conversion->new_code) : event.code;
    const std::span<const ParamSpec> schema = event_spec(code).params;
    const uint32_t before_count = event.nparams;
    std::copy_n(event.params.begin(), before_count, before_.begin());
    uint32_t count = fresh ? 0 : before_count;
    for (size_t i = 0; i < conversion->source_count && count < schema.size(); ++i) {
      const Source source = conversion->sources[i];
      const ParamType type = schema[count].type;
      Param value{};
      switch (source.from) {
        case From::old_param:
          if (source.index < before_count) value = before_[source.index];
          break;
        case From::enter_or_default:
        case From::enter_or_empty:
          // An exit whose enter event was lost meets no stored event, or that of another call.
          if (enter != nullptr && enter->code + 1 == event.code && source.index < enter->nparams) {
            value = stored_param(*enter, source.index);
            enter_used = true;
          } else if (source.from == From::enter_or_default) {
            value = default_param(type);
          }
          break;
        case From::default_value: value = default_param(type); break;
        case From::no_value: break;
        case From::container_json:
          write_container_json(event);
          value = {reinterpret_cast<const uint8_t*>(json_.c_str()), static_cast<uint32_t>(json_.size() + 1)};
          break;
      }
      event.params[count++] = fitted(value, type);
    }
    event.code = code;
    event.nparams = count;
  }
  return finish(Outcome::unknown);
}

void Converter::assemble(const LooseEvent& event, std::vector<uint8_t>& out) {
  const bool wide = code_rules()[event.code].wide;
  const uint32_t limit = wide ? UINT32_MAX : UINT16_MAX;
  size_t length = sizeof(EventHeader) + event.nparams * (wide ? 4u : 2u);
  for (uint32_t i = 0; i < event.nparams; ++i) length += std::min(event.params[i].len, limit);
  out.resize(length);
  EventHeader header{event.ts_ns, event.tid, static_cast<uint32_t>(length), event.code, event.nparams};
  uint8_t* at = out.data();
  const auto put = [&at](const void* bytes, size_t count) {
    if (count > 0) std::memcpy(at, bytes, count);
    at += count;
  };
  put(&header, sizeof header);
  for (uint32_t i = 0; i < event.nparams; ++i) {
    const uint32_t cut = std::min(event.params[i].len, limit);
    put(&cut, wide ? 4 : 2);
  }
  for (uint32_t i = 0; i < event.nparams; ++i) put(event.params[i].data, std::min(event.params[i].len, limit));
}

Param Converter::stored_param(const Stored& enter, size_t index) {
  size_t offset = 0;
  for (size_t i = 0; i < index; ++i) offset += enter.lengths[i];
  return {enter.bytes.data() + offset, enter.lengths[index]};
}

Converter::Stored* Converter::make_room(uint64_t tid) {
  if (const auto found = stored_.find(tid); found != stored_.end()) return &found->second;
  if (stored_.size() >= kMaxStored)
    boost::unordered::erase_if(stored_, [](const auto& entry) { return !entry.second.live; });
  if (stored_.size() >= kMaxStored) return nullptr;
  return &stored_[tid];
}

void Converter::store(const LooseEvent& event) {
  size_t size = 0;
  for (uint32_t i = 0; i < event.nparams; ++i) size += event.params[i].len;
  Stored* slot = make_room(event.tid);
  if (slot == nullptr || size > kMaxStoredBytes) {
    if (slot != nullptr) slot->live = false;  // what it held belongs to an earlier call
    ++not_kept_;
    return;
  }
  slot->code = event.code;
  slot->live = true;
  slot->nparams = static_cast<uint8_t>(event.nparams);
  slot->bytes.clear();
  if (slot->bytes.capacity() > kKeptCapacity) slot->bytes.shrink_to_fit();
  for (uint32_t i = 0; i < event.nparams; ++i) {
    const Param& param = event.params[i];
    slot->lengths[i] = static_cast<uint16_t>(param.len);
    slot->bytes.insert(slot->bytes.end(), param.data, param.data + param.len);
  }
}

void Converter::forget_thread(uint64_t tid) {
  if (!stored_.empty()) stored_.erase(tid);
}

void Converter::clear() { stored_.clear(); }

void Converter::write_container_json(const LooseEvent& event) {
  const auto param = [&](size_t index) { return index < event.nparams ? event.params[index] : Param{}; };
  json_ =
      fmt::format(R"({{"container":{{"id":"{}","type":{},"name":"{}","image":"{}"}}}})", json_escape(param(0).text()),
                  param(1).u64(), json_escape(param(2).text()), json_escape(param(3).text()));
}

}  // namespace quell::capture::scap
