// Tokens that are found in the text before anything else is done with it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pegainfer/ids.h"
#include "tokenizer/spans.h"

namespace pegainfer {

struct AddedToken {
  TokenId id = -1;
  std::string content;
  bool special = false;      // left out by decode(skip_special_tokens)
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space behind it
  bool normalized = true;    // looked for in the normalized text, in its own normalized form
};

// Where tokens are not recognised: a special one, or one of `control`, whose own bytes (not the white space
// it strips) touch text from outside. What is found in its place is the longest token that may be there, be
// it shorter or further on. Hugging Face's `encode_special_tokens` goes on behind the token it leaves out,
// which would let the end of an untrusted text swallow the beginning of a trusted token.
struct ControlGuard {
  std::span<const TextSpan> untrusted;  // of the text that is cut
  std::span<const TokenId> control;     // ascending

  [[nodiscard]] bool is_control(TokenId id) const;
};

// Finds the longest of a set of strings at the leftmost place: a trie, walked from every place where the
// first byte fits.
class AddedTokenMatcher {
 public:
  // What to look for, and the token it stands for. Of equal strings the first counts; empty ones are ignored.
  void add(std::string_view pattern, const AddedToken& token);
  void finish();  // after the last add()
  [[nodiscard]] bool empty() const { return tokens_.empty(); }

  // Cuts `text`: calls `visit(begin, end, id)` for every part in order, id -1 for text between tokens.
  // As in `tokenizers`, a token that strips white space can overlap the one behind it.
  template <class Visit>
  void split(std::string_view text, Visit&& visit) const {
    split(text, nullptr, std::forward<Visit>(visit));
  }
  // `guard` may be null.
  template <class Visit>
  void split(std::string_view text, const ControlGuard* guard, Visit&& visit) const {
    size_t done = 0;
    Found found;
    size_t pos = 0;
    while (next(text, pos, guard, &found)) {
      pos = found.end;
      if (!fits(text, done, &found)) continue;
      if (done < found.begin) visit(done, found.begin, TokenId{-1});
      visit(found.begin, found.end, tokens_[found.token].id);
      done = found.end;
    }
    if (done < text.size()) visit(done, text.size(), TokenId{-1});
  }

 private:
  struct Flags {
    TokenId id;
    bool special, single_word, lstrip, rstrip;
  };
  struct Found {
    size_t begin = 0;
    size_t end = 0;
    size_t token = 0;
  };
  struct Node {
    uint32_t first_edge = 0;
    uint32_t num_edges = 0;
    int32_t token = -1;
  };
  struct Edge {
    unsigned char byte;
    uint32_t target;
  };

  bool next(std::string_view text, size_t pos, const ControlGuard* guard, Found* found) const;
  bool match_at(std::string_view text, size_t pos, const ControlGuard* guard, Found* found) const;
  // Applies single_word and the stripping; false when the token does not count here.
  bool fits(std::string_view text, size_t done, Found* found) const;

  std::vector<Flags> tokens_;
  std::vector<std::pair<std::string, size_t>> patterns_;  // sorted by finish(), then freed
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::array<uint32_t, 256> start_{};  // node by first byte, 0: none (node 0 is the root)
  int only_first_byte_ = -1;           // when all patterns begin with the same byte
};

}  // namespace pegainfer
