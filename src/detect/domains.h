#pragma once
// Addresses of the domain names that rules compare with (fd.sip.name = example.org). Names are resolved in the
// background; a comparison only looks up what is known. Without start() only what
// was told is known, and other such comparisons are false.
#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "model/fd.h"

namespace quell::detect {

class DomainTable {
 public:
  DomainTable() = default;
  ~DomainTable();
  /// Names to know. Before start().
  void add(const std::string& name) { names_.push_back(name); }
  bool empty() const { return names_.empty(); }
  /// Begins resolving, and again every `interval_s`. Network access happens on a thread of its own.
  void start(unsigned interval_s);
  /// Adds an address that is known by other means. Before start().
  void tell(const std::string& name, const IpAddress& address);
  /// Thread-safe, never blocks on the network.
  bool resolves_to(const std::string& name, const IpAddress& address) const;
  /// The first name, in alphabetical order, that has this address; empty if none has. Thread-safe.
  std::string name_of(const IpAddress& address) const;

 private:
  using Known = std::map<std::string, std::vector<IpAddress>>;
  std::vector<std::string> names_;
  std::shared_ptr<const Known> known_ = std::make_shared<const Known>();  // swapped whole, by the atomic free functions
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace quell::detect
