#include "chat/jinja/text.h"

#include <algorithm>

#include "base/utf8.h"

namespace pegainfer::jinja {

void TextBuilder::append(std::string_view bytes, bool untrusted) {
  if (bytes.empty()) return;
  const size_t begin = bytes_.size();
  bytes_.append(bytes);
  if (!untrusted) return;
  if (!untrusted_.empty() && untrusted_.back().end == begin) {
    untrusted_.back().end = bytes_.size();
  } else {
    untrusted_.push_back({begin, bytes_.size()});
  }
}

void TextBuilder::append(const Text& text, size_t begin, size_t end) {
  for_each_run(text, begin, end, [this](std::string_view run, bool untrusted) { append(run, untrusted); });
}

Text TextBuilder::take() {
  Text text{std::move(bytes_), std::move(untrusted_), false};
  bytes_.clear();
  untrusted_.clear();
  return text;
}

TextPtr make_text(std::string_view bytes, bool untrusted) {
  auto text = std::make_shared<Text>();
  text->bytes = bytes;
  if (untrusted && !bytes.empty()) text->untrusted.push_back({0, bytes.size()});
  return text;
}

TextPtr make_text(TextBuilder& builder, bool markup) {
  auto text = std::make_shared<Text>(builder.take());
  text->markup = markup;
  return text;
}

Text slice_bytes(const Text& text, size_t begin, size_t end) {
  TextBuilder out;
  out.append(text, begin, end);
  Text piece = out.take();
  piece.markup = text.markup;
  return piece;
}

size_t length(std::string_view bytes) {
  return static_cast<size_t>(std::count_if(
      bytes.begin(), bytes.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

size_t offset_of(std::string_view bytes, size_t index) {
  size_t at = 0;
  for (; at < bytes.size(); ++at) {
    if ((static_cast<unsigned char>(bytes[at]) & 0xC0) == 0x80) continue;
    if (index-- == 0) return at;
  }
  return at;
}

CodePoint decode(std::string_view bytes) {
  const auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(bytes[i])); };
  if (byte(0) < 0x80) return {byte(0), 1};
  const utf8::Sequence sequence = utf8::next(bytes);
  if (!sequence.valid) return {0xFFFD, 1};
  switch (sequence.length) {
    case 2: return {((byte(0) & 0x1F) << 6) | (byte(1) & 0x3F), 2};
    case 3: return {((byte(0) & 0x0F) << 12) | ((byte(1) & 0x3F) << 6) | (byte(2) & 0x3F), 3};
    default:
      return {
          ((byte(0) & 0x07) << 18) | ((byte(1) & 0x3F) << 12) | ((byte(2) & 0x3F) << 6) | (byte(3) & 0x3F),
          4};
  }
}

void encode(std::string& out, char32_t c) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6));
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3F));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

std::string encode(char32_t code_point) {
  std::string out;
  encode(out, code_point);
  return out;
}

}  // namespace pegainfer::jinja
