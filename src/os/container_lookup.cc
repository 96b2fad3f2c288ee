#include "os/container_lookup.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"

namespace quell::os {

ContainerLookup::ContainerLookup(const std::vector<std::unique_ptr<Runtime>>& runtimes, Options options)
    : runtimes_(runtimes), options_(std::move(options)), hung_until_(runtimes.size()) {
  QUELL_ASSERT(!options_.quick.empty() && options_.capacity > 0);
  worker_ = std::thread([this] { work(); });
}

ContainerLookup::~ContainerLookup() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  worker_.join();
}

void ContainerLookup::request(const std::string& full_id, ContainerType guess) {
  std::lock_guard lock(mutex_);
  ++counters_.requests;
  if (const auto cached = cache_.find(full_id); cached != cache_.end()) {
    if (cached->second.expires > std::chrono::steady_clock::now()) {
      ++counters_.hits;
      answers_.push_back(cached->second.answer);
      return;
    }
    cache_order_.erase(cached->second.serial);
    cache_.erase(cached);
  }
  if (waiting_.contains(full_id)) {
    ++counters_.deduplicated;
    return;
  }
  if (waiting_.size() >= options_.capacity) {
    ++counters_.rejected;
    answers_.push_back({.full_id = full_id,
                        .info = nullptr,
                        .reason = fmt::format("{} containers wait for the runtimes' answer already", waiting_.size()),
                        .final = true});
    return;
  }
  const uint64_t serial = ++serial_;
  waiting_.emplace(full_id, Waiting{.guess = guess, .attempt = 0, .serial = serial});
  due_.emplace(std::chrono::steady_clock::now() + wait_before(0), std::pair{full_id, serial});
  changed_.notify_one();
}

void ContainerLookup::poll(std::vector<LookupAnswer>& answers) {
  std::lock_guard lock(mutex_);
  std::move(answers_.begin(), answers_.end(), std::back_inserter(answers));
  answers_.clear();
}

void ContainerLookup::forget(const std::string& full_id) {
  std::lock_guard lock(mutex_);
  waiting_.erase(full_id);
  if (const auto cached = cache_.find(full_id); cached != cache_.end()) {
    cache_order_.erase(cached->second.serial);
    cache_.erase(cached);
  }
}

LookupCounters ContainerLookup::counters() const {
  std::lock_guard lock(mutex_);
  return counters_;
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
    if (due_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto first = due_.begin();
    if (first->first > std::chrono::steady_clock::now()) {
      // A copy: the entry may go while we wait, and the wait reads its argument again.
      const Time until = first->first;
      changed_.wait_until(lock, until);
      continue;
    }
    const auto [id, serial] = first->second;
    due_.erase(first);
    auto entry = waiting_.find(id);
    if (entry == waiting_.end() || entry->second.serial != serial) continue;  // forgotten meanwhile
    ++counters_.attempts;
    const ContainerType guess = entry->second.guess;

    lock.unlock();
    Outcome outcome = ask(id, guess);
    lock.lock();

    entry = waiting_.find(id);
    if (entry == waiting_.end() || entry->second.serial != serial) continue;
    Waiting& waiting = entry->second;
    ++waiting.attempt;
    if (outcome.info != nullptr) {
      ++counters_.found;
      waiting_.erase(entry);
      const LookupAnswer answer{.full_id = id, .info = std::move(outcome.info), .reason = {}, .final = true};
      answers_.push_back(answer);
      remember(answer, options_.found_ttl);
    } else if (waiting.attempt >= attempts()) {
      ++counters_.failed;
      waiting_.erase(entry);
      const LookupAnswer answer{.full_id = id, .info = nullptr, .reason = std::move(outcome.reason), .final = true};
      answers_.push_back(answer);
      remember(answer, options_.failed_ttl);
    } else {
      if (waiting.attempt == options_.quick.size())
        answers_.push_back({.full_id = id, .info = nullptr, .reason = std::move(outcome.reason), .final = false});
      due_.emplace(std::chrono::steady_clock::now() + wait_before(waiting.attempt), std::pair{id, serial});
    }
  }
}

ContainerLookup::Outcome ContainerLookup::ask(const std::string& full_id, ContainerType guess) {
  if (runtimes_.empty()) return {nullptr, "no container runtime socket is configured"};
  // Docker's cgroup paths look like Kubernetes' with some drivers, so the guess only decides who is asked first.
  std::vector<size_t> order;
  const std::string_view likely = guess == ContainerType::docker ? "docker" : "containerd";
  for (size_t i = 0; i < runtimes_.size(); ++i)
    order.insert(runtimes_[i]->name() == likely ? order.begin() : order.end(), i);

  std::string silent;
  size_t answered = 0;
  for (const size_t i : order) {
    const Runtime& runtime = *runtimes_[i];
    const Time now = std::chrono::steady_clock::now();
    Error error{Code::timeout, "did not answer in time a moment ago", {}};
    if (hung_until_[i] <= now) {
      auto status = runtime.inspect(full_id);
      // inspect also takes names: another container may be called like the id we look for.
      if (status && status->info->full_id == full_id) return {status->info, {}};
      error = status ? Error{Code::not_found, "another container has that name", {}} : status.error();
      if (error.code == Code::timeout) hung_until_[i] = std::chrono::steady_clock::now() + options_.hung_pause;
    }
    {
      std::lock_guard lock(mutex_);
      ++counters_.failed_attempts[fmt::format("{}:{}", runtime.name(), to_string(error.code))];
    }
    if (error.code == Code::not_found || error.code == Code::invalid_argument) ++answered;
    silent += fmt::format("{}{}: {}", silent.empty() ? "" : ", ", runtime.name(), error.message);
  }
  if (answered == 0) return {nullptr, "no container runtime socket answered (" + silent + ")"};
  return {nullptr, "no container runtime knows the container (" + silent + ")"};
}

}  // namespace quell::os
