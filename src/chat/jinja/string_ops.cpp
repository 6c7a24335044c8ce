#include "chat/jinja/string_ops.h"

#include <algorithm>

namespace pegainfer::jinja {
namespace {

// Text made of `f(out, code point)` for each character; the character's trust goes to all of it.
template <class F>
Text map_characters(const Text& text, F f) {
  TextBuilder out;
  out.reserve(text.bytes.size());
  for_each_run(text, [&](std::string_view run, bool untrusted) {
    std::string mapped;
    mapped.reserve(run.size());
    for (size_t at = 0; at < run.size();) {
      const CodePoint c = decode(run.substr(at));
      if (c.value == 0xFFFD && c.size == 1) {
        mapped += run[at];  // broken UTF-8 stays as it is
      } else {
        f(mapped, c.value);
      }
      at += c.size;
    }
    out.append(mapped, untrusted);
  });
  Text made = out.take();
  made.markup = text.markup;
  return made;
}

// Σ at the end of a word is ς: after a cased character and not before one, marks between them not counted.
constexpr char32_t kSigma = 0x3A3, kFinalSigma = 0x3C2;

Text lower_with_sigma(const Text& text) {
  std::vector<size_t> final_at;
  const std::string_view bytes = text.bytes;
  bool after_cased = false;
  size_t pending = std::string::npos;
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint c = decode(bytes.substr(at));
    const bool cased = is_cased(c.value);
    const bool ignorable =
        c.value == '\'' || c.value == '.' || c.value == 0xB7 || (c.value >= 0x300 && c.value <= 0x36F);
    if (!ignorable) {
      if (!cased && pending != std::string::npos) final_at.push_back(pending);
      pending = c.value == kSigma && after_cased ? at : std::string::npos;
      after_cased = cased;
    }
    at += c.size;
  }
  if (pending != std::string::npos) final_at.push_back(pending);
  size_t next = 0;
  size_t at = 0;
  return map_characters(text, [&](std::string& out, char32_t c) {
    if (next < final_at.size() && at == final_at[next]) {
      encode(out, kFinalSigma);
      ++next;
    } else {
      append_lower(out, c);
    }
    at += encode(c).size();
  });
}

size_t previous(std::string_view bytes, size_t at) {
  do {
    --at;
  } while (at > 0 && (static_cast<unsigned char>(bytes[at]) & 0xC0) == 0x80);
  return at;
}

std::vector<Text> split_spaces(const Text& text, int64_t most) {
  std::vector<Text> out;
  const std::string_view bytes = text.bytes;
  const auto skip = [&](size_t at, bool spaces) {
    while (at < bytes.size()) {
      const CodePoint c = decode(bytes.substr(at));
      if (is_space(c.value) != spaces) break;
      at += c.size;
    }
    return at;
  };
  for (size_t at = skip(0, true); at < bytes.size();) {
    if (most >= 0 && static_cast<int64_t>(out.size()) == most) {
      // The rest keeps its spaces within; those at the end stay too, as in Python.
      out.push_back(slice_bytes(text, at, bytes.size()));
      break;
    }
    const size_t end = skip(at, false);
    out.push_back(slice_bytes(text, at, end));
    at = skip(end, true);
  }
  return out;
}

std::vector<Text> rsplit_spaces(const Text& text, int64_t most) {
  std::vector<Text> out;
  const std::string_view bytes = text.bytes;
  const auto skip = [&](size_t at, bool spaces) {
    while (at > 0) {
      const size_t before = previous(bytes, at);
      if (is_space(decode(bytes.substr(before)).value) != spaces) break;
      at = before;
    }
    return at;
  };
  for (size_t at = skip(bytes.size(), true); at > 0;) {
    if (most >= 0 && static_cast<int64_t>(out.size()) == most) {
      out.push_back(slice_bytes(text, 0, at));
      break;
    }
    const size_t begin = skip(at, false);
    out.push_back(slice_bytes(text, begin, at));
    at = skip(begin, true);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace

Text strip(const Text& text, const Text* chars, Side side) {
  const std::string_view bytes = text.bytes;
  const auto is = [&](std::string_view character, char32_t value) {
    return chars == nullptr ? is_space(value) : chars->bytes.find(character) != std::string::npos;
  };
  size_t begin = 0, end = bytes.size();
  while (side != Side::kRight && begin < end) {
    const CodePoint c = decode(bytes.substr(begin));
    if (!is(bytes.substr(begin, c.size), c.value)) break;
    begin += c.size;
  }
  while (side != Side::kLeft && end > begin) {
    const size_t before = previous(bytes, end);
    if (!is(bytes.substr(before, end - before), decode(bytes.substr(before)).value)) break;
    end = before;
  }
  return slice_bytes(text, begin, end);
}

std::vector<Text> split(const Text& text, const Text* separator, int64_t most, bool from_right) {
  if (separator == nullptr) return from_right ? rsplit_spaces(text, most) : split_spaces(text, most);
  std::vector<size_t> cuts;
  const std::string& bytes = text.bytes;
  const std::string& sep = separator->bytes;
  const auto more = [&] { return most < 0 || static_cast<int64_t>(cuts.size()) < most; };
  if (from_right) {
    size_t end = bytes.size();
    while (more() && end >= sep.size()) {
      const size_t found = bytes.rfind(sep, end - sep.size());
      if (found == std::string::npos) break;
      cuts.push_back(found);
      end = found;
    }
    std::reverse(cuts.begin(), cuts.end());
  } else {
    for (size_t at = 0; more();) {
      const size_t found = bytes.find(sep, at);
      if (found == std::string::npos) break;
      cuts.push_back(found);
      at = found + sep.size();
    }
  }
  std::vector<Text> out;
  size_t at = 0;
  for (const size_t cut : cuts) {
    out.push_back(slice_bytes(text, at, cut));
    at = cut + sep.size();
  }
  out.push_back(slice_bytes(text, at, bytes.size()));
  return out;
}

std::vector<Text> splitlines(const Text& text, bool keep_ends) {
  std::vector<Text> out;
  const std::string_view bytes = text.bytes;
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint c = decode(bytes.substr(at));
    size_t after = at + c.size;
    if (is_line_end(c.value)) {
      if (c.value == '\r' && after < bytes.size() && bytes[after] == '\n') ++after;
      out.push_back(slice_bytes(text, begin, keep_ends ? after : at));
      begin = after;
    }
    at = after;
  }
  if (begin < bytes.size()) out.push_back(slice_bytes(text, begin, bytes.size()));
  return out;
}

Value replace(Runtime& runtime, const Text& text, const Text& from, const Text& to, int64_t count) {
  TextBuilder out;
  runtime.text(text.bytes.size());
  size_t at = 0;
  const std::string_view bytes = text.bytes;
  const auto insert = [&] {
    out.append(to);
    runtime.check(out.size());
  };
  if (from.bytes.empty()) {
    // Between all characters, and at both ends.
    for (; count != 0; --count) {
      insert();
      if (at >= bytes.size()) break;
      const size_t size = decode(bytes.substr(at)).size;
      out.append(text, at, at + size);
      at += size;
    }
  } else {
    for (; count != 0; --count) {
      const size_t found = bytes.find(from.bytes, at);
      if (found == std::string_view::npos) break;
      out.append(text, at, found);
      insert();
      at = found + from.bytes.size();
    }
  }
  out.append(text, std::min(at, bytes.size()), bytes.size());
  return runtime.string(out, text.markup);
}

Value pad(Runtime& runtime, const Text& text, int64_t width, const Text* fill, char align) {
  const auto size = static_cast<int64_t>(length(text.bytes));
  const int64_t missing = width > size ? width - size : 0;
  runtime.check(static_cast<size_t>(missing));
  runtime.text(text.bytes.size() + static_cast<size_t>(missing) * (fill != nullptr ? fill->bytes.size() : 1));
  // As CPython centers: an odd one goes left where the width is odd.
  const int64_t left = align == '<' ? 0 : align == '>' ? missing : missing / 2 + (missing & width & 1);
  TextBuilder out;
  const auto put = [&](int64_t count) {
    for (int64_t i = 0; i < count; ++i) fill != nullptr ? out.append(*fill) : out.trusted(" ");
  };
  put(left);
  out.append(text);
  put(missing - left);
  return runtime.string(out, text.markup);
}

Text upper(const Text& text) { return map_characters(text, append_upper); }

Text lower(const Text& text) {
  if (text.bytes.find("\xCE\xA3") != std::string::npos) return lower_with_sigma(text);
  return map_characters(text, append_lower);
}

Text capitalize(const Text& text) {
  const size_t first = text.bytes.empty() ? 0 : decode(text.bytes).size;
  TextBuilder out;
  out.append(map_characters(slice_bytes(text, 0, first), append_title));
  out.append(lower(slice_bytes(text, first, text.bytes.size())));
  Text made = out.take();
  made.markup = text.markup;
  return made;
}

Text title(const Text& text) {
  bool inside = false;
  return map_characters(text, [&](std::string& out, char32_t c) {
    inside ? append_lower(out, c) : append_title(out, c);
    inside = is_cased(c);
  });
}

Text swapcase(const Text& text) {
  return map_characters(text, [](std::string& out, char32_t c) {
    is_upper(c) ? append_lower(out, c) : is_lower(c) ? append_upper(out, c) : encode(out, c);
  });
}

}  // namespace pegainfer::jinja
