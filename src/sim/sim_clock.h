// SimClock: where simulated steps take their time: on the real clock, by sleeping, or on a virtual one that
// jumps.
#pragma once

#include "base/clock.h"

namespace pegainfer::sim {

class SimClock : public Clock {
 public:
  virtual void wait_until(TimePoint time) = 0;
};

class RealClock final : public SimClock {
 public:
  [[nodiscard]] TimePoint now() const override { return std::chrono::steady_clock::now(); }
  void wait_until(TimePoint time) override;
};

// One thread's.
class VirtualClock final : public SimClock {
 public:
  [[nodiscard]] TimePoint now() const override { return now_; }
  void wait_until(TimePoint time) override {
    if (time > now_) now_ = time;
  }
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(now_.time_since_epoch()).count();
  }

 private:
  TimePoint now_;
};

}  // namespace pegainfer::sim
