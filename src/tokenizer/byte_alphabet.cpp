#include "tokenizer/byte_alphabet.h"

#include "tokenizer/unicode.h"

namespace pegainfer {
namespace {

constexpr uint32_t kAlphabetEnd = 0x144;  // 256 + the 68 bytes that have no printable character of their own

struct Tables {
  std::array<uint16_t, 256> to_char{};
  std::array<int16_t, kAlphabetEnd> to_byte{};
};

Tables make_tables() {
  Tables t;
  t.to_byte.fill(-1);
  uint16_t next = 256;
  for (unsigned b = 0; b < 256; ++b) {
    const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    t.to_char.at(b) = printable ? static_cast<uint16_t>(b) : next++;
    t.to_byte.at(t.to_char.at(b)) = static_cast<int16_t>(b);
  }
  return t;
}

const Tables& tables() {
  static const Tables t = make_tables();
  return t;
}

}  // namespace

const std::array<uint16_t, 256>& byte_alphabet() { return tables().to_char; }

std::optional<std::string> alphabet_to_bytes(std::string_view token) {
  const auto& to_byte = tables().to_byte;
  std::string out;
  out.reserve(token.size());
  for (size_t i = 0; i < token.size();) {
    const unicode::Char c = unicode::decode(token.data() + i);
    if (c.code >= kAlphabetEnd || to_byte[c.code] < 0) return std::nullopt;
    out += static_cast<char>(to_byte[c.code]);
    i += c.length;
  }
  return out;
}

std::string bytes_to_alphabet(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char b : bytes) unicode::append(out, byte_alphabet()[static_cast<unsigned char>(b)]);
  return out;
}

}  // namespace pegainfer
