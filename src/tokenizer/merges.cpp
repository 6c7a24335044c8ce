#include "tokenizer/merges.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/check.h"

namespace pegainfer {
namespace {

// Up to here looking at every pair beats a heap.
constexpr size_t kShort = 40;
// Working memory above this is given back after use.
constexpr size_t kKeep = 64 * 1024;

// A 4-ary min-heap: half the levels of a binary one, and the four children share a cache line.
void sift_down(std::vector<uint64_t>& heap, size_t i) {
  uint64_t* const h = heap.data();
  const size_t n = heap.size();
  const uint64_t value = h[i];
  while (true) {
    const size_t first = 4 * i + 1;
    if (first >= n) break;
    size_t least = first;
    const size_t end = std::min(first + 4, n);
    for (size_t c = first + 1; c < end; ++c) {
      if (h[c] < h[least]) least = c;
    }
    if (h[least] >= value) break;
    h[i] = h[least];
    i = least;
  }
  h[i] = value;
}

void push(std::vector<uint64_t>& heap, uint64_t value) {
  heap.push_back(value);
  uint64_t* const h = heap.data();
  size_t i = heap.size() - 1;
  while (i > 0) {
    const size_t parent = (i - 1) / 4;
    if (h[parent] <= value) break;
    h[i] = h[parent];
    i = parent;
  }
  h[i] = value;
}

uint64_t pop(std::vector<uint64_t>& heap) {
  const uint64_t top = heap.front();
  heap.front() = heap.back();
  heap.pop_back();
  if (!heap.empty()) sift_down(heap, 0);
  return top;
}

}  // namespace

void MergeTable::reserve(size_t num_rules) {
  const size_t want = std::bit_ceil(num_rules + num_rules / 2 + 16);
  if (want > slots_.size()) rehash(want);
}

void MergeTable::rehash(size_t num_slots) {
  std::vector<Slot> old(num_slots);
  old.swap(slots_);
  mask_ = num_slots - 1;
  shift_ = 64U - static_cast<unsigned>(std::countr_zero(num_slots));
  count_ = 0;
  for (const Slot& s : old) {
    if (s.key != kEmpty) {
      add(static_cast<TokenId>(s.key >> 32U), static_cast<TokenId>(s.key & UINT32_MAX), s.rank, s.result);
    }
  }
}

void MergeTable::add(TokenId left, TokenId right, uint32_t rank, TokenId result) {
  CHECK(left >= 0 && right >= 0 && result >= 0, "rule {} {} -> {}", left, right, result);
  if ((count_ + 1) * 3 > slots_.size() * 2) rehash(slots_.size() * 2);
  const uint64_t key = key_of(left, right);
  size_t i = place_of(key);
  while (slots_[i].key != kEmpty && slots_[i].key != key) i = (i + 1) & mask_;
  if (slots_[i].key == kEmpty) ++count_;
  slots_[i] = {key, rank, result};
}

void MergeTable::Scratch::trim() {
  if (symbols_.capacity() > kKeep) std::vector<Symbol>().swap(symbols_);
  if (heap_.capacity() > kKeep) std::vector<uint64_t>().swap(heap_);
}

void MergeTable::apply(std::vector<TokenId>& symbols, Scratch& scratch) const {
  if (symbols.size() < 2) return;
  if (symbols.size() <= kShort) {
    apply_short(symbols);
  } else {
    apply_long(symbols, scratch);
  }
}

void MergeTable::apply_short(std::vector<TokenId>& symbols) const {
  std::array<Rule, kShort> rules;
  size_t n = symbols.size();
  TokenId* const ids = symbols.data();
  const auto rule_at = [&](size_t i) {
    return ids[i] < 0 || ids[i + 1] < 0 ? Rule{} : find(ids[i], ids[i + 1]);
  };
  for (size_t i = 0; i + 1 < n; ++i) rules[i] = rule_at(i);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (rules[i].rank < rules[best].rank) best = i;
    }
    if (rules[best].rank == kNoRank) break;
    ids[best] = rules[best].result;
    for (size_t i = best + 1; i + 1 < n; ++i) {
      ids[i] = ids[i + 1];
      rules[i] = rules[i + 1];  // the one at n - 1 is never read: there is no pair there
    }
    --n;
    if (best > 0) rules[best - 1] = rule_at(best - 1);
    if (best + 1 < n) rules[best] = rule_at(best);
  }
  symbols.resize(n);
}

void MergeTable::apply_long(std::vector<TokenId>& symbols, Scratch& scratch) const {
  CHECK(symbols.size() < static_cast<size_t>(INT32_MAX), "{} symbols in one piece", symbols.size());
  auto& heap = scratch.heap_;
  auto& list = scratch.symbols_;
  const auto n = static_cast<int32_t>(symbols.size());
  heap.clear();
  list.resize(symbols.size());
  Scratch::Symbol* const s = list.data();
  const auto set_rule = [&](int32_t i) {
    const int32_t next = s[i].next;
    const Rule rule = next < 0 || s[i].id < 0 || s[next].id < 0 ? Rule{} : find(s[i].id, s[next].id);
    s[i].rank = rule.rank;
    s[i].result = rule.result;
    return rule.rank != kNoRank;
  };
  const auto key = [&](int32_t i) {
    return static_cast<uint64_t>(s[i].rank) << 32U | static_cast<uint32_t>(i);
  };
  for (int32_t i = 0; i < n; ++i)
    s[i] = {symbols[static_cast<size_t>(i)], kNoRank, -1, i - 1, i + 1 < n ? i + 1 : -1};
  for (int32_t i = 0; i < n; ++i) {
    if (set_rule(i)) heap.push_back(key(i));
  }
  for (size_t i = heap.size() / 4 + 1; i-- > 0;) {
    if (i < heap.size()) sift_down(heap, i);
  }
  while (!heap.empty()) {
    const uint64_t top = pop(heap);
    const auto i = static_cast<int32_t>(top & UINT32_MAX);
    if (s[i].rank != top >> 32U) continue;  // the pair is no more
    const int32_t right = s[i].next;
    s[i].id = s[i].result;
    s[i].next = s[right].next;
    s[right].rank = kNoRank;
    if (s[i].next >= 0) s[s[i].next].previous = i;
    if (set_rule(i)) push(heap, key(i));
    const int32_t left = s[i].previous;
    if (left >= 0 && set_rule(left)) push(heap, key(left));
  }
  size_t out = 0;
  for (int32_t i = 0; i >= 0; i = s[i].next) symbols[out++] = s[i].id;
  symbols.resize(out);
}

}  // namespace pegainfer
