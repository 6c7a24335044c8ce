#include "server/openai/fields.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/json.h"

namespace pegainfer::openai {
namespace {

constexpr const char* kInvalidType = "invalid_type";
constexpr const char* kOutOfRange = "out_of_range";

}  // namespace

std::optional<int64_t> as_integer(const json::Value& value) {
  if (const int64_t* i = value.if_int64()) return *i;
  const double* d = value.if_double();
  constexpr double kExact =
      9007199254740992.0;  // 2^53: above it a double no longer says which integer was meant
  if (d == nullptr || std::trunc(*d) != *d || std::abs(*d) > kExact) return std::nullopt;
  return static_cast<int64_t>(*d);
}

Fields::Fields(const json::Object& object, std::string prefix)
    : object_(object), prefix_(std::move(prefix)) {}

const json::Value* Fields::find(std::string_view name) const {
  know(name);
  return json::find(object_, name);
}

std::string_view Fields::either(std::string_view name, std::string_view alias) const {
  know(name);
  know(alias);
  return json::find(object_, name) == nullptr && json::find(object_, alias) != nullptr ? alias : name;
}

std::vector<std::string_view> Fields::unknown() const {
  std::vector<std::string_view> names;
  for (const auto& [key, value] : object_) {
    const std::string_view name = key;
    if (std::ranges::find(known_, name) == known_.end()) names.push_back(name);
  }
  return names;
}

void Fields::fail(std::string_view name, std::string message, std::string type) {
  if (!error_) error_ = invalid_argument(std::move(message), prefix_ + std::string(name), std::move(type));
}

void Fields::wrong_kind(std::string_view name, const json::Value& found, std::string_view expected) {
  fail(name, fmt::format("{}{} is {}; it must be {}", prefix_, name, json::kind_name(found), expected),
       kInvalidType);
}

bool Fields::flag(std::string_view name, bool otherwise) {
  const json::Value* value = find(name);
  if (value == nullptr) return otherwise;
  if (const bool* b = value->if_bool()) return *b;
  wrong_kind(name, *value, "true or false");
  return otherwise;
}

std::optional<int64_t> Fields::integer(std::string_view name, int64_t min, int64_t max) {
  const json::Value* value = find(name);
  if (value == nullptr) return std::nullopt;
  const auto i = as_integer(*value);
  if (!i && !value->is_number()) {
    wrong_kind(name, *value, "a whole number");
    return std::nullopt;
  }
  if (!i || *i < min || *i > max) {
    fail(name,
         fmt::format("{}{} is {}; it must be a whole number between {} and {}", prefix_, name,
                     json::dump(*value), min, max),
         i || value->is_uint64() ? kOutOfRange : kInvalidType);
    return std::nullopt;
  }
  return i;
}

std::optional<double> Fields::number(std::string_view name, NumberRange range) {
  const json::Value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    wrong_kind(name, *value, "a number");
    return std::nullopt;
  }
  const auto d = value->to_number<double>();
  const bool inside = (range.min_excluded ? d > range.min : d >= range.min) && d <= range.max;
  if (inside) return d;
  fail(name,
       fmt::format("{}{} is {}; it must be {} {} and at most {}", prefix_, name, json::dump(*value),
                   range.min_excluded ? "above" : "at least", range.min, range.max),
       kOutOfRange);
  return std::nullopt;
}

std::optional<std::string> Fields::text(std::string_view name) {
  const json::Value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (const boost::json::string* s = value->if_string()) return std::string(*s);
  wrong_kind(name, *value, "a string");
  return std::nullopt;
}

std::vector<TokenId> Fields::token_ids(std::string_view name, int vocab_size, size_t max_count) {
  const json::Value* value = find(name);
  if (value == nullptr) return {};
  const json::Array* array = value->if_array();
  if (array == nullptr) {
    wrong_kind(name, *value, "an array of token ids");
    return {};
  }
  if (array->size() > max_count) {
    fail(name,
         fmt::format("{}{} has {} entries; at most {} are allowed", prefix_, name, array->size(), max_count),
         kOutOfRange);
    return {};
  }
  std::vector<TokenId> ids;
  ids.reserve(array->size());
  for (const json::Value& element : *array) {
    const auto id = as_integer(element);
    if (!id && !element.is_uint64()) {
      wrong_kind(name, element, "an array of whole numbers");
      return {};
    }
    if (!id || *id < 0 || *id >= vocab_size) {
      fail(name,
           fmt::format("{}{} holds {}; token ids of this model are 0 to {}", prefix_, name,
                       json::dump(element), vocab_size - 1),
           "out_of_vocab");
      return {};
    }
    ids.push_back(static_cast<TokenId>(*id));
  }
  return ids;
}

std::vector<std::string> Fields::texts(std::string_view name, size_t max_count, size_t max_bytes) {
  const json::Value* value = find(name);
  if (value == nullptr) return {};
  std::vector<std::string> found;
  const auto add = [&](const json::Value& element) {
    const boost::json::string* s = element.if_string();
    if (s == nullptr) {
      wrong_kind(name, element, "a string or an array of strings");
    } else if (s->empty() || s->size() > max_bytes) {
      fail(name,
           fmt::format("{}{} holds a string of {} bytes; 1 to {} are allowed", prefix_, name, s->size(),
                       max_bytes),
           kOutOfRange);
    } else {
      found.emplace_back(*s);
    }
  };
  const json::Array* array = value->if_array();
  if (array == nullptr) {
    add(*value);
  } else if (array->size() > max_count) {
    fail(name,
         fmt::format("{}{} has {} entries; at most {} are allowed", prefix_, name, array->size(), max_count),
         kOutOfRange);
  } else {
    for (const json::Value& element : *array) add(element);
  }
  return found;
}

}  // namespace pegainfer::openai
