#include "engine/stop_matcher.h"

namespace pegainfer {

StopMatcher::StopMatcher(std::span<const std::string> stops) {
  states_.emplace_back();
  for (size_t i = 0; i < stops.size(); ++i) {
    lengths_.push_back(stops[i].size());
    if (!stops[i].empty()) insert(stops[i], i);
  }
  link_failures();
}

void StopMatcher::insert(std::string_view stop, size_t index) {
  uint32_t state = 0;
  for (const char c : stop) {
    const auto byte = static_cast<unsigned char>(c);
    uint32_t to = child(state, byte);
    if (to == 0) {
      to = static_cast<uint32_t>(states_.size());
      states_.push_back(
          {.next_sibling = states_[state].first_child, .depth = states_[state].depth + 1, .byte = byte});
      states_[state].first_child = to;
    }
    state = to;
  }
  if (states_[state].stop < 0) states_[state].stop = static_cast<int32_t>(index);
}

// Breadth first: a state's failure is shallower, so it is ready.
void StopMatcher::link_failures() {
  std::vector<uint32_t> queue{0};
  for (size_t i = 0; i < queue.size(); ++i) {
    const uint32_t parent = queue[i];
    for (uint32_t s = states_[parent].first_child; s != 0; s = states_[s].next_sibling) {
      states_[s].fail = parent == 0 ? 0 : next(states_[parent].fail, states_[s].byte);
      if (states_[s].stop < 0) states_[s].stop = states_[states_[s].fail].stop;
      queue.push_back(s);
    }
  }
}

uint32_t StopMatcher::child(uint32_t state, unsigned char byte) const {
  uint32_t s = states_[state].first_child;
  while (s != 0 && states_[s].byte != byte) s = states_[s].next_sibling;
  return s;
}

uint32_t StopMatcher::next(uint32_t state, unsigned char byte) const {
  while (true) {
    if (const uint32_t s = child(state, byte); s != 0) return s;
    if (state == 0) return 0;
    state = states_[state].fail;
  }
}

void StopMatcher::pass(std::string_view piece) {
  for (const char c : piece) state_ = next(state_, static_cast<unsigned char>(c));
  num_consumed_ += piece.size();
}

std::optional<StopMatcher::Match> StopMatcher::push(std::string_view piece) {
  for (const char c : piece) {
    state_ = next(state_, static_cast<unsigned char>(c));
    ++num_consumed_;
    if (const int32_t stop = states_[state_].stop; stop >= 0) {
      const auto index = static_cast<size_t>(stop);
      return Match{num_consumed_ - lengths_[index], num_consumed_, index};
    }
  }
  return std::nullopt;
}

}  // namespace pegainfer
