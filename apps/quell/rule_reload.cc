#include "apps/quell/rule_reload.h"

#include <array>
#include <utility>

#include "base/log.h"

namespace quell::cli {
namespace {

// Editors and package managers write in several steps; half of a set of rules is a broken one.
constexpr uint64_t kQuietNs = 300'000'000;
constexpr uint64_t kPatienceNs = 3'000'000'000;

constexpr std::array<std::string_view, 4> kCauses = {"request", "signal", "file", "expiry"};
std::string_view name_of(RuleReload::Cause cause) { return kCauses[static_cast<size_t>(cause)]; }

}  // namespace

RuleReload::RuleReload(Options options) : options_(std::move(options)) {
  if (!options_.watch_files) return;
  if (auto watch = os::FileWatch::create()) {
    watch_.emplace(*std::move(watch));
  } else {
    log::warn("detect", "rules are read again on request alone: {}", watch.error().str());
  }
}

Result<std::unique_ptr<RuleReload>> RuleReload::create(Options options) {
  std::unique_ptr<RuleReload> self(new RuleReload(std::move(options)));
  self->seen_ = self->look();
  QUELL_TRY(self->state_.rules,
            load_rules(self->options_.sources, self->options_.engine, self->options_.show_warnings, 1));
  self->state_.loaded_ns = self->options_.clock->realtime_ns();
  self->watch(self->state_.rules->files);
  return self;
}

std::string RuleReload::look() const {
  const auto files = find_files(options_.sources);
  return files ? fingerprint(*files) : files.error().str();
}

void RuleReload::watch(const RuleFiles& files) {
  if (!watch_) return;
  std::vector<std::string> paths = rule_folders(options_.sources);
  paths.insert(paths.end(), files.rules.begin(), files.rules.end());
  paths.insert(paths.end(), files.exceptions.begin(), files.exceptions.end());
  if (const auto watched = watch_->watch(paths); !watched) log::warn("detect", "{}", watched.error().str());
}

Result<std::shared_ptr<const LoadedRules>> RuleReload::reload(Cause cause) {
  const std::lock_guard one_at_a_time(reload_mutex_);
  const State before = state();
  seen_ = look();
  auto loaded = load_rules(options_.sources, options_.engine, options_.show_warnings, before.rules->generation + 1);
  if (!loaded) {
    ++failures_;
    log::error("detect", "the rules of generation {} stay in force: {}", before.rules->generation,
               loaded.error().str());
    const std::lock_guard lock(mutex_);
    state_.error = loaded.error().str();
    return loaded;
  }
  const bool is_new = (*loaded)->hash != before.rules->hash;
  {
    const std::lock_guard lock(mutex_);
    state_.error.clear();
    if (is_new) {
      state_.rules = *loaded;
      state_.loaded_ns = options_.clock->realtime_ns();
    }
  }
  if (!is_new) {
    log::info("detect", "rules were read again and have not changed ({})", name_of(cause));
    return before.rules;
  }
  ++reloads_[static_cast<size_t>(cause)];
  detect::start_resolving(*(*loaded)->program);
  options_.apply(*loaded);
  log::info("detect", "rules were read again ({}): generation {} with {} rules in force", name_of(cause),
            (*loaded)->generation, detect::rule_count(*(*loaded)->program));
  return loaded;
}

RuleReload::State RuleReload::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void RuleReload::tick() {
  const State now = state();
  if (now.rules->next_expiry_ns != 0 && options_.clock->realtime_ns() >= now.rules->next_expiry_ns) {
    // A failure would come again with every tick; the files' next change ends it.
    if (now.error.empty()) (void)reload(Cause::expiry);
  }
  if (!watch_) return;
  const uint64_t now_ns = options_.clock->monotonic_ns();
  if (watch_->poll()) {
    last_change_ns_ = now_ns;
    if (first_change_ns_ == 0) first_change_ns_ = now_ns;
  }
  if (first_change_ns_ == 0) return;
  if (now_ns - last_change_ns_ < kQuietNs && now_ns - first_change_ns_ < kPatienceNs) return;
  first_change_ns_ = 0;
  std::string seen;
  {
    const std::lock_guard lock(reload_mutex_);
    seen = seen_;
  }
  if (look() != seen) (void)reload(Cause::file);
  // Folders may have been replaced, and files have come: what is watched follows what is there.
  const auto files = find_files(options_.sources);
  watch(files ? *files : state().rules->files);
}

void RuleReload::collect(metrics::Page& page) const {
  const State now = state();
  page.gauge("quell_detect_rules_generation", "Which set of rules is in force, counted from 1.",
             static_cast<double>(now.rules->generation));
  page.gauge("quell_detect_rules_stale", "1 while the rule files cannot be loaded as they are now.",
             now.error.empty() ? 0 : 1);
  for (size_t i = 0; i < kCauses.size(); ++i) {
    page.counter("quell_detect_reloads_total", "Times that new rules were loaded, by what caused it.", reloads_[i],
                 {{"cause", kCauses[i]}});
  }
  page.counter("quell_detect_failed_reloads_total", "Times that rules could not be read again.", failures_);
  size_t expired = 0;
  for (const detect::ExceptionRecord& exception : now.rules->set.exceptions) expired += exception.is_expired ? 1 : 0;
  page.gauge("quell_detect_exceptions", "Exception entries with values that are loaded.",
             static_cast<double>(now.rules->set.exceptions.size() - expired));
  page.gauge("quell_detect_expired_exceptions", "Exception entries that no longer apply.",
             static_cast<double>(expired));
}

}  // namespace quell::cli
