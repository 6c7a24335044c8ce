// The state of a `for` that its body sees as `loop`.
#pragma once

#include <functional>
#include <vector>

#include "chat/jinja/value.h"

namespace pegainfer::jinja {

struct Loop {
  std::vector<Value> items;
  std::function<bool(const Value&)> keep;  // the loop's `if`; empty: there is none. Asked as late as can be.
  std::function<Value(const Value&)> recurse;  // empty: the loop is not recursive
  size_t at = 0;                               // of `items`, the next to look at
  int64_t index0 = -1;
  int64_t depth0 = 0;
  Value previous{Undefined{}};
  Value current{Undefined{}};
  Value after;  // looked at and not yet reached
  bool has_after = false;
  bool changed_before = false;
  bool ended = false;
  std::vector<Value> last_changed;

  // The item after this one waits in `after`; false: there is none.
  bool peek() {
    while (!has_after && at < items.size()) {
      const Value& item = items[at++];
      if (!keep || keep(item)) {
        after = item;
        has_after = true;
      }
    }
    return has_after;
  }
  bool advance() {
    if (!peek()) return false;
    previous = std::move(current);
    current = std::move(after);
    has_after = false;
    ++index0;
    return true;
  }
  int64_t length() {
    if (keep) {  // what is left is asked now
      std::vector<Value> rest;
      while (at < items.size()) {
        const Value& item = items[at++];
        if (keep(item)) rest.push_back(item);
      }
      items = std::move(rest);
      at = 0;
      keep = nullptr;
      total_ = static_cast<int64_t>(items.size()) + index0 + 1 + (has_after ? 1 : 0);
    }
    return total_ >= 0 ? total_ : static_cast<int64_t>(items.size());
  }

 private:
  int64_t total_ = -1;
};

}  // namespace pegainfer::jinja
