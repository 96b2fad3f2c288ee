#include "os/container_lookup.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/assert.h"
#include "os/cgroup_tree.h"
#include "os/container_names.h"

namespace quell::os {
namespace {

/// Whether the container has ended, as far as its control group tells; false when that is not known.
bool has_ended(const LookupRequest& request) {
  return !request.cgroup_path.empty() && !cgroup_exists(request.cgroup_path);
}

ContainerMissing missing_by(Code code) {
  switch (code) {
    case Code::timeout: return ContainerMissing::runtime_timeout;
    case Code::permission_denied: return ContainerMissing::permission_denied;
    case Code::unavailable: return ContainerMissing::no_runtime_socket;
    default: return ContainerMissing::runtime_error;
  }
}

}  // namespace

ContainerLookup::ContainerLookup(const std::vector<std::unique_ptr<Runtime>>& runtimes, Options options)
    : runtimes_(runtimes), options_(std::move(options)), asked_(runtimes.size()) {
  QUELL_ASSERT(!options_.quick.empty() && options_.capacity > 0 && options_.workers > 0);
  for (Asked& asked : asked_) asked.last = std::chrono::steady_clock::now();
  for (size_t i = 0; i < options_.workers; ++i) workers_.emplace_back([this] { work(); });
}

ContainerLookup::~ContainerLookup() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ContainerLookup::request(LookupRequest request) {
  std::lock_guard lock(mutex_);
  ++counters_.requests;
  const std::string id = request.full_id;
  if (const auto cached = cache_.find(id); cached != cache_.end()) {
    // A name of one's own choice may mean another container today.
    if (cached->second.expires > std::chrono::steady_clock::now() && is_full_hex_id(id)) {
      ++counters_.hits;
      answers_.push_back(cached->second.answer);
      return;
    }
    cache_order_.erase(cached->second.serial);
    cache_.erase(cached);
  }
  if (waiting_.contains(id)) {
    ++counters_.deduplicated;
    return;
  }
  if (waiting_.size() >= options_.capacity) {
    ++counters_.rejected;
    answers_.push_back({.full_id = id,
                        .info = nullptr,
                        .missing = ContainerMissing::too_many_lookups,
                        .detail = fmt::format("{} containers wait for the runtimes' answer already", waiting_.size()),
                        .final = true});
    return;
  }
  const uint64_t serial = ++serial_;
  waiting_.emplace(id, Waiting{.request = std::move(request), .attempt = 0, .serial = serial, .has_bad_news = false});
  due_.emplace(std::chrono::steady_clock::now() + wait_before(0), std::pair{id, serial});
  changed_.notify_one();
}

void ContainerLookup::poll(std::vector<LookupAnswer>& answers) {
  std::lock_guard lock(mutex_);
  std::move(answers_.begin(), answers_.end(), std::back_inserter(answers));
  answers_.clear();
}

void ContainerLookup::forget(const std::string& full_id) {
  std::lock_guard lock(mutex_);
  counters_.forgotten += waiting_.erase(full_id);
  if (const auto cached = cache_.find(full_id); cached != cache_.end()) {
    cache_order_.erase(cached->second.serial);
    cache_.erase(cached);
  }
}

LookupCounters ContainerLookup::counters() const {
  std::lock_guard lock(mutex_);
  LookupCounters out = counters_;
  out.waiting = waiting_.size();
  out.cached = cache_.size();
  return out;
}

std::vector<RuntimeHealth> ContainerLookup::runtimes() const {
  std::vector<RuntimeHealth> out;
  for (const auto& runtime : runtimes_)
    out.push_back({.name = std::string(runtime->name()), .is_present = runtime->is_present(), .error = {}});
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i].error = asked_[i].error;
    out[i].is_answering = asked_[i].error.empty();
  }
  return out;
}

ContainerLookup::Milliseconds ContainerLookup::wait_before(size_t attempt) const {
  return attempt < options_.quick.size() ? options_.quick[attempt] : options_.slow[attempt - options_.quick.size()];
}

void ContainerLookup::remember(LookupAnswer answer, Milliseconds ttl) {
  const uint64_t serial = ++serial_;
  const std::string id = answer.full_id;
  if (const auto old = cache_.find(id); old != cache_.end()) cache_order_.erase(old->second.serial);
  cache_.insert_or_assign(
      id, Cached{.answer = std::move(answer), .expires = std::chrono::steady_clock::now() + ttl, .serial = serial});
  cache_order_.emplace(serial, id);
  while (cache_.size() > options_.cache_capacity) {
    cache_.erase(cache_order_.begin()->second);
    cache_order_.erase(cache_order_.begin());
  }
}

void ContainerLookup::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const bool pings = options_.ping_interval.count() > 0;
    if (pings && !is_pinging_) {
      is_pinging_ = true;  // one worker sees to it at a time
      ping_the_unasked(lock);
      is_pinging_ = false;
      if (stopping_) break;
    }
    const Time now = std::chrono::steady_clock::now();
    if (!due_.empty() && due_.begin()->first <= now) {
      const auto [id, serial] = due_.begin()->second;
      due_.erase(due_.begin());
      attempt(lock, id, serial);
      continue;
    }
    // A copy: the entry may go while we wait, and the wait reads its argument again.
    Time until = now + std::chrono::hours(1);
    if (pings) until = now + options_.ping_interval / 4;
    if (!due_.empty()) until = std::min(until, due_.begin()->first);
    changed_.wait_until(lock, until);
  }
}

void ContainerLookup::attempt(std::unique_lock<std::mutex>& lock, const std::string& id, uint64_t serial) {
  auto entry = waiting_.find(id);
  if (entry == waiting_.end() || entry->second.serial != serial) return;  // forgotten meanwhile
  ++counters_.attempts;
  const LookupRequest request = entry->second.request;

  lock.unlock();
  Outcome outcome = ask(request);
  lock.lock();

  entry = waiting_.find(id);
  if (entry == waiting_.end() || entry->second.serial != serial) return;
  Waiting& waiting = entry->second;
  ++waiting.attempt;
  LookupAnswer answer{
      .full_id = id, .info = std::move(outcome.info), .missing = outcome.missing, .detail = std::move(outcome.detail)};
  if (answer.info != nullptr) {
    ++counters_.found;
    waiting_.erase(entry);
    answers_.push_back(answer);
    remember(std::move(answer), options_.found_ttl);
  } else if (outcome.is_hopeless || waiting.attempt >= attempts()) {
    ++counters_.failed;
    waiting_.erase(entry);
    answers_.push_back(answer);
    remember(std::move(answer), options_.failed_ttl);
  } else {
    // Where nobody listens, nobody is worth being waited for; else the quick attempts are.
    const bool is_bad_news = outcome.nobody_listens || waiting.attempt >= options_.quick.size();
    if (is_bad_news && !waiting.has_bad_news) {
      waiting.has_bad_news = true;
      answer.final = false;
      answers_.push_back(std::move(answer));
    }
    due_.emplace(std::chrono::steady_clock::now() + wait_before(waiting.attempt), std::pair{id, serial});
    changed_.notify_one();
  }
}

void ContainerLookup::ping_the_unasked(std::unique_lock<std::mutex>& lock) {
  for (size_t i = 0; i < runtimes_.size() && !stopping_; ++i) {
    if (asked_[i].in_flight > 0 || asked_[i].last + options_.ping_interval > std::chrono::steady_clock::now()) continue;
    asked_[i].last = std::chrono::steady_clock::now();
    lock.unlock();
    Error error;
    if (runtimes_[i]->is_present() && begin(i, error)) {
      const auto answered = runtimes_[i]->ping();
      end(i, answered ? nullptr : &answered.error());
    }
    lock.lock();
  }
}

/// Counts a question to a runtime in. False, with what to say instead of its answer, when it is better left alone.
bool ContainerLookup::begin(size_t runtime, Error& error) {
  std::lock_guard lock(mutex_);
  Asked& asked = asked_[runtime];
  if (asked.hung_until > std::chrono::steady_clock::now()) {
    error = {Code::timeout, "did not answer in time a moment ago", {}};
    return false;
  }
  if (options_.workers > 1 && asked.in_flight + 1 >= options_.workers) {
    error = {Code::timeout, "is busy with other questions", {}};
    return false;
  }
  ++asked.in_flight;
  return true;
}

void ContainerLookup::end(size_t runtime, const Error* error) {
  std::lock_guard lock(mutex_);
  Asked& asked = asked_[runtime];
  --asked.in_flight;
  asked.last = std::chrono::steady_clock::now();
  if (error == nullptr || error->code == Code::not_found || error->code == Code::invalid_argument) {
    asked.silences = 0;
    asked.error.clear();
  } else if (error->code == Code::timeout) {
    // One silence may be one container's: Docker answers for none while it starts or removes it.
    if (++asked.silences < 2) return;
    asked.error = error->str();
    asked.hung_until = asked.last + options_.hung_pause;
  } else {
    asked.silences = 0;
    asked.error = error->str();
  }
}

std::shared_ptr<const Container> ContainerLookup::without_long_labels(std::shared_ptr<const Container> info) const {
  const size_t limit = options_.label_max_len;
  const auto is_long = [limit](const auto& label) { return label.second.size() > limit; };
  const auto any_is = [&](const auto& labels) { return std::any_of(labels.begin(), labels.end(), is_long); };
  if (limit == 0 || (!any_is(info->labels) && !any_is(info->pod_labels))) return info;
  auto out = std::make_shared<Container>(*info);
  std::erase_if(out->labels, is_long);
  std::erase_if(out->pod_labels, is_long);
  return out;
}

ContainerLookup::Outcome ContainerLookup::ask(const LookupRequest& request) {
  if (runtimes_.empty())
    return {.info = nullptr,
            .missing = ContainerMissing::no_runtime_socket,
            .detail = "no container runtime socket is configured",
            .is_hopeless = true};
  // Docker's cgroup paths look like Kubernetes' with some drivers, so the guess only decides who is asked first; and
  // Docker last where it is not the guess, because it is the one that lets others wait.
  const std::string_view likely = request.guess == ContainerType::docker   ? "docker"
                                  : request.guess == ContainerType::custom ? "runc"
                                                                           : "containerd";
  const auto rank = [&](size_t i) {
    return runtimes_[i]->name() == likely ? 0 : runtimes_[i]->name() == "docker" ? 2 : 1;
  };
  std::vector<size_t> order(runtimes_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return rank(a) < rank(b); });

  std::string said;
  size_t denied = 0;  // runtimes that say that they have no such container
  ContainerMissing worst = ContainerMissing::none;
  bool likely_is_absent = false;
  for (const size_t i : order) {
    const Runtime& runtime = *runtimes_[i];
    Error error;
    if (begin(i, error)) {
      auto status = runtime.inspect_exact(request.full_id);
      end(i, status ? nullptr : &status.error());
      if (status) return {.info = without_long_labels(status->info), .detail = {}};
      error = status.error();
    }
    {
      std::lock_guard lock(mutex_);
      ++counters_.failed_attempts[fmt::format("{}:{}", runtime.name(), to_string(error.code))];
    }
    if (error.code == Code::not_found || error.code == Code::invalid_argument) {
      ++denied;
    } else if (error.code == Code::unavailable) {
      likely_is_absent |= runtime.name() == likely;
    } else if (worst != ContainerMissing::runtime_timeout) {
      worst = missing_by(error.code);
    }
    said += fmt::format("{}{}: {}", said.empty() ? "" : ", ", runtime.name(), error.message);
  }
  Outcome out;
  out.detail = fmt::format("no container runtime told of it ({})", said);
  out.nobody_listens = worst == ContainerMissing::none && denied == 0;
  if (worst != ContainerMissing::none) {
    out.missing = worst;
  } else if (denied == 0) {
    out.missing = ContainerMissing::no_runtime_socket;
  } else if (has_ended(request)) {
    out.missing = ContainerMissing::container_gone;
    out.is_hopeless = true;
  } else {
    out.missing = likely_is_absent ? ContainerMissing::no_runtime_socket : ContainerMissing::not_known_to_any_runtime;
  }
  return out;
}

}  // namespace quell::os
