// StopMatcher: finds stop strings in a text that arrives in pieces, and says how much of its end must be
// withheld because it may yet become one. An Aho-Corasick automaton: time is linear in the text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pegainfer {

class StopMatcher {
 public:
  // Empty strings are left out.
  explicit StopMatcher(std::span<const std::string> stops);

  struct Match {  // byte offsets in the text of all pushes together
    size_t begin = 0;
    size_t end = 0;
    size_t stop = 0;  // index into `stops`
  };
  // The stop string that ends first in the text; of several that end there, the longest. Whatever the pieces.
  // Nothing must be pushed after a match.
  std::optional<Match> push(std::string_view piece);

  // Text in which nothing is looked for; a stop string may begin in it.
  void pass(std::string_view piece);

  // Bytes at the end of the text that are a prefix of some stop string: the longest such suffix.
  [[nodiscard]] size_t withheld() const { return states_[state_].depth; }

 private:
  struct State {
    uint32_t first_child = 0;  // children form a list; 0: none
    uint32_t next_sibling = 0;
    uint32_t fail = 0;  // the longest proper suffix of this state that is a state
    uint32_t depth = 0;
    int32_t stop = -1;  // the longest stop string that is a suffix of this state, -1: none
    unsigned char byte = 0;
  };
  void insert(std::string_view stop, size_t index);
  void link_failures();
  [[nodiscard]] uint32_t child(uint32_t state, unsigned char byte) const;
  [[nodiscard]] uint32_t next(uint32_t state, unsigned char byte) const;

  std::vector<State> states_;
  std::vector<size_t> lengths_;  // [stops]
  uint32_t state_ = 0;
  size_t num_consumed_ = 0;
};

}  // namespace pegainfer
