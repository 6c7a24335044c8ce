#include <fmt/core.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "checkpoint/gguf.h"
#include "checkpoint/names.h"

namespace pegainfer {
namespace {

template <class T>
double load(const std::byte* at) {
  T value{};
  std::memcpy(&value, at, sizeof value);
  return static_cast<double>(value);
}

size_t element_bytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool: return 1;
    case GgufType::kUint16:
    case GgufType::kInt16: return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32: return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64: return 8;
    case GgufType::kString:
    case GgufType::kArray: break;
  }
  CHECK(false, "{} has no fixed size", name_of(type));
  return 0;
}

std::string_view kind_of(const GgufValue& value) {
  constexpr std::array<std::string_view, 7> kKinds{"an integer",         "an integer", "a number",
                                                   "a boolean",          "a string",   "an array of numbers",
                                                   "an array of strings"};
  return kKinds.at(value.index());
}

}  // namespace

std::string_view name_of(GgufType type) {
  constexpr std::array<std::string_view, 13> kNames{"UINT8",  "INT8",    "UINT16", "INT16",  "UINT32",
                                                    "INT32",  "FLOAT32", "BOOL",   "STRING", "ARRAY",
                                                    "UINT64", "INT64",   "FLOAT64"};
  return kNames.at(static_cast<size_t>(type));
}

size_t GgufNumbers::size() const { return bytes.size() / element_bytes(type); }

double GgufNumbers::number(size_t i) const {
  CHECK(i < size(), "{} of {}", i, size());
  const std::byte* at = bytes.data() + i * element_bytes(type);
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kBool: return load<uint8_t>(at);
    case GgufType::kInt8: return load<int8_t>(at);
    case GgufType::kUint16: return load<uint16_t>(at);
    case GgufType::kInt16: return load<int16_t>(at);
    case GgufType::kUint32: return load<uint32_t>(at);
    case GgufType::kInt32: return load<int32_t>(at);
    case GgufType::kFloat32: return load<float>(at);
    case GgufType::kUint64: return load<uint64_t>(at);
    case GgufType::kInt64: return load<int64_t>(at);
    case GgufType::kFloat64: return load<double>(at);
    case GgufType::kString:
    case GgufType::kArray: break;
  }
  CHECK(false, "{} is not a number", name_of(type));
  return 0;
}

bool GgufMetadata::add(std::string key, GgufValue value) {
  if (!by_key_.emplace(key, entries_.size()).second) return false;
  entries_.emplace_back(std::move(key), std::move(value));
  return true;
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto at = by_key_.find(std::string(key));
  return at == by_key_.end() ? nullptr : &entries_[at->second].second;
}

Error GgufMetadata::wrong_kind(std::string_view key, std::string_view expected) const {
  return invalid_argument(
      fmt::format("{}: {} is {}, expected {}", path_, quote_name(key), kind_of(*find(key)), expected),
      std::string(key));
}

Result<std::optional<int64_t>> GgufMetadata::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::optional<int64_t>();
  if (const auto* i = std::get_if<int64_t>(value)) return std::optional<int64_t>(*i);
  if (const auto* u = std::get_if<uint64_t>(value)) {
    if (*u <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return std::optional<int64_t>(static_cast<int64_t>(*u));
    }
    return invalid_argument(fmt::format("{}: {} is {}, too large", path_, quote_name(key), *u),
                            std::string(key));
  }
  return wrong_kind(key, "an integer");
}

Result<std::optional<double>> GgufMetadata::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::optional<double>();
  if (const auto* i = std::get_if<int64_t>(value)) return std::optional<double>(static_cast<double>(*i));
  if (const auto* u = std::get_if<uint64_t>(value)) return std::optional<double>(static_cast<double>(*u));
  if (const auto* d = std::get_if<double>(value)) {
    if (std::isfinite(*d)) return std::optional<double>(*d);
    return invalid_argument(fmt::format("{}: {} is not finite", path_, quote_name(key)), std::string(key));
  }
  return wrong_kind(key, "a number");
}

Result<std::optional<bool>> GgufMetadata::boolean(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::optional<bool>();
  if (const auto* b = std::get_if<bool>(value)) return std::optional<bool>(*b);
  return wrong_kind(key, "a boolean");
}

Result<std::optional<std::string>> GgufMetadata::text(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::optional<std::string>();
  if (const auto* s = std::get_if<std::string>(value)) return std::optional<std::string>(*s);
  return wrong_kind(key, "a string");
}

Result<const GgufNumbers*> GgufMetadata::numbers(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return static_cast<const GgufNumbers*>(nullptr);
  if (const auto* n = std::get_if<GgufNumbers>(value)) return n;
  return wrong_kind(key, "an array of numbers");
}

Result<std::vector<std::string>> GgufMetadata::take_strings(std::string_view key) {
  const auto at = by_key_.find(std::string(key));
  if (at == by_key_.end()) return std::vector<std::string>();
  GgufValue& value = entries_[at->second].second;
  if (auto* strings = std::get_if<std::vector<std::string>>(&value)) {
    return std::exchange(*strings, {});
  }
  // An empty array of another type says the same as an empty array of strings.
  if (const auto* n = std::get_if<GgufNumbers>(&value); n != nullptr && n->bytes.empty()) {
    return std::vector<std::string>();
  }
  return wrong_kind(key, "an array of strings");
}

}  // namespace pegainfer
