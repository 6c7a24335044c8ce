#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <cstring>

#include "tokenizer/unicode.h"

namespace pegainfer {
namespace {

bool is_space_before(std::string_view text, size_t end, size_t* begin) {
  if (end == 0) return false;
  *begin = unicode::previous(text, end);
  return (unicode::ClassTable::get().of(unicode::decode(text.data() + *begin).code) & unicode::kSpace) != 0;
}

bool is_word_at(std::string_view text, size_t pos) {
  return (unicode::ClassTable::get().of(unicode::decode(text.data() + pos).code) & unicode::kWord) != 0;
}

}  // namespace

bool ControlGuard::is_control(TokenId id) const {
  return std::binary_search(control.begin(), control.end(), id);
}

void AddedTokenMatcher::add(std::string_view pattern, const AddedToken& token) {
  if (pattern.empty()) return;
  patterns_.emplace_back(std::string(pattern), tokens_.size());
  tokens_.push_back({token.id, token.special, token.single_word, token.lstrip, token.rstrip});
}

void AddedTokenMatcher::finish() {
  if (patterns_.empty()) return;
  std::stable_sort(patterns_.begin(), patterns_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  patterns_.erase(std::unique(patterns_.begin(), patterns_.end(),
                              [](const auto& a, const auto& b) { return a.first == b.first; }),
                  patterns_.end());
  // A trie over sorted strings: each node's patterns are a range. Its own stack, because a token may be long.
  struct Work {
    uint32_t node;
    size_t begin, end, depth;
  };
  nodes_.assign(1, Node{});
  std::vector<Work> stack{{0, 0, patterns_.size(), 0}};
  while (!stack.empty()) {
    Work w = stack.back();
    stack.pop_back();
    if (patterns_[w.begin].first.size() == w.depth) {
      nodes_[w.node].token = static_cast<int32_t>(patterns_[w.begin].second);
      ++w.begin;
    }
    nodes_[w.node].first_edge = static_cast<uint32_t>(edges_.size());
    for (size_t i = w.begin; i < w.end;) {
      const char byte = patterns_[i].first[w.depth];
      size_t j = i;
      while (j < w.end && patterns_[j].first[w.depth] == byte) ++j;
      const auto child = static_cast<uint32_t>(nodes_.size());
      nodes_.emplace_back();
      edges_.push_back({static_cast<unsigned char>(byte), child});
      ++nodes_[w.node].num_edges;
      stack.push_back({child, i, j, w.depth + 1});
      i = j;
    }
  }
  const Node& root = nodes_[0];
  for (uint32_t e = 0; e < root.num_edges; ++e) {
    const Edge& edge = edges_[root.first_edge + e];
    start_.at(edge.byte) = edge.target;
    if (root.num_edges == 1) only_first_byte_ = edge.byte;
  }
  patterns_ = {};
}

bool AddedTokenMatcher::match_at(std::string_view text, size_t pos, const ControlGuard* guard,
                                 Found* found) const {
  const auto allowed = [&](const Flags& token, size_t end) {
    if (guard == nullptr) return true;
    return !(token.special || guard->is_control(token.id)) || !touches(guard->untrusted, pos, end);
  };
  uint32_t node = start_[static_cast<unsigned char>(text[pos])];
  bool any = false;
  size_t i = pos + 1;
  while (true) {
    const Node& n = nodes_[node];
    if (n.token >= 0 && allowed(tokens_[static_cast<size_t>(n.token)], i)) {
      *found = {pos, i, static_cast<size_t>(n.token)};
      any = true;
    }
    if (i == text.size()) return any;
    const auto byte = static_cast<unsigned char>(text[i]);
    const Edge* const begin = edges_.data() + n.first_edge;
    const Edge* const end = begin + n.num_edges;
    const Edge* const edge =
        std::lower_bound(begin, end, byte, [](const Edge& e, unsigned char b) { return e.byte < b; });
    if (edge == end || edge->byte != byte) return any;
    node = edge->target;
    ++i;
  }
}

bool AddedTokenMatcher::next(std::string_view text, size_t pos, const ControlGuard* guard,
                             Found* found) const {
  if (tokens_.empty()) return false;
  while (pos < text.size()) {
    if (only_first_byte_ >= 0) {
      const void* const at = std::memchr(text.data() + pos, only_first_byte_, text.size() - pos);
      if (at == nullptr) return false;
      pos = static_cast<size_t>(static_cast<const char*>(at) - text.data());
    } else if (start_[static_cast<unsigned char>(text[pos])] == 0) {
      ++pos;
      continue;
    }
    if (match_at(text, pos, guard, found)) return true;
    ++pos;
  }
  return false;
}

bool AddedTokenMatcher::fits(std::string_view text, size_t done, Found* found) const {
  const Flags& token = tokens_[found->token];
  if (token.single_word) {
    if (found->begin > 0 && is_word_at(text, unicode::previous(text, found->begin))) return false;
    if (found->end < text.size() && is_word_at(text, found->end)) return false;
  }
  if (token.lstrip) {
    size_t begin = found->begin;
    size_t before = 0;
    while (is_space_before(text, begin, &before)) begin = before;
    found->begin = std::max(begin, done);
  }
  if (token.rstrip) {
    const auto& classes = unicode::ClassTable::get();
    while (found->end < text.size()) {
      const unicode::Char c = unicode::decode(text.data() + found->end);
      if ((classes.of(c.code) & unicode::kSpace) == 0) break;
      found->end += c.length;
    }
  }
  return true;
}

}  // namespace pegainfer
