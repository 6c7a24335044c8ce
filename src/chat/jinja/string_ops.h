// What Python's string methods and Jinja's filters share.
#pragma once

#include <vector>

#include "chat/jinja/runtime.h"

namespace pegainfer::jinja {

enum class Side : uint8_t { kLeft, kRight, kBoth };
// `chars` null: whitespace.
Text strip(const Text& text, const Text* chars, Side side);
// `separator` null: runs of whitespace, which also go at both ends. `most` < 0: no limit.
std::vector<Text> split(const Text& text, const Text* separator, int64_t most, bool from_right);
std::vector<Text> splitlines(const Text& text, bool keep_ends);
Value replace(Runtime& runtime, const Text& text, const Text& from, const Text& to, int64_t count);
// `align`: '<', '>' or '^'.
Value pad(Runtime& runtime, const Text& text, int64_t width, const Text* fill, char align);

Text upper(const Text& text);
Text lower(const Text& text);
Text capitalize(const Text& text);
Text title(const Text& text);  // as str.title(): every run of letters
Text swapcase(const Text& text);

}  // namespace pegainfer::jinja
