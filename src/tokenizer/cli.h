// `pegainfer tokenize` and `pegainfer detokenize`, once the tokenizer is loaded.
#pragma once

#include <iosfwd>

#include "pegainfer/tokenizer.h"

namespace pegainfer {

// All of `in` is a text; `out` gets one JSON array of ids and a newline. With `jsonl` each line of `in` is a
// JSON string and gives one line. `add_special`: with what the tokenizer adds (BOS, EOS). Returns the exit
// code: 0, or 2 with one line on `err` that names the bad line; what came before it is written.
int run_tokenize(const Tokenizer& tokenizer, bool add_special, bool jsonl, std::istream& in,
                 std::ostream& out, std::ostream& err);

// The other way: all of `in` is a JSON array of ids, and `out` gets exactly their text, nothing added. With
// `jsonl` each line of `in` is an array and gives one line, a JSON string. Special tokens are written out.
int run_detokenize(const Tokenizer& tokenizer, bool jsonl, std::istream& in, std::ostream& out,
                   std::ostream& err);

}  // namespace pegainfer
