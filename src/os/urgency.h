#pragma once
// While an object of this type lives, its thread runs before ordinary ones: against a fork storm of hundreds of
// runnable processes a fair share of the processor is a few milliseconds per second. Real-time round robin where that
// is allowed (CAP_SYS_NICE), else the best nice value, else nothing; never inherited by children. Not for more than
// seconds: the kernel keeps 5 % of the time for others.
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

namespace quell::os {

class Urgency {
 public:
  Urgency() {
    policy_ = ::sched_getscheduler(0);
    if (policy_ < 0 || ::sched_getparam(0, &param_) != 0) return;
    nice_ = ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()));
    const sched_param urgent{.sched_priority = 1};
    if (::sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &urgent) == 0) {
      is_real_time_ = true;
    } else {
      is_nice_ = ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), -20) == 0;
    }
  }
  Urgency(const Urgency&) = delete;
  Urgency& operator=(const Urgency&) = delete;
  ~Urgency() {
    if (is_real_time_) (void)::sched_setscheduler(0, policy_, &param_);
    if (is_nice_) (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), nice_);
  }

 private:
  int policy_ = SCHED_OTHER, nice_ = 0;
  sched_param param_{};
  bool is_real_time_ = false, is_nice_ = false;
};

}  // namespace quell::os
