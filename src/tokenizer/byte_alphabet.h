// GPT-2's alphabet: each byte as one printable character, so that a byte-level vocabulary is JSON strings.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pegainfer {

// The code point that stands for a byte, by byte.
const std::array<uint16_t, 256>& byte_alphabet();

// The bytes that `token` stands for; nothing when one of its characters is not in the alphabet.
std::optional<std::string> alphabet_to_bytes(std::string_view token);

// `bytes` written in the alphabet.
std::string bytes_to_alphabet(std::string_view bytes);

}  // namespace pegainfer
