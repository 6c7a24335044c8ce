// Transcripts of models that call tools, made from a seed: what they say, and what is to come of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chat/output_parser.h"
#include "chat/parsed.h"

namespace pegainfer::chat {

struct Transcript {
  std::string what;
  OutputParserOptions options;
  std::string text;
  std::optional<Parsed> expected;  // of the well-formed ones; arguments are compared as JSON values
  // The words in it (w17x, ..) are in the message, whole and each once: nothing is lost, nothing said twice.
  bool keeps_words = true;
};

// For each format the same number of well-formed and broken ones.
std::vector<Transcript> make_transcripts(uint64_t seed, int num_per_format);

}  // namespace pegainfer::chat
