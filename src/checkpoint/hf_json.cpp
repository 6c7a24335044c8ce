#include "checkpoint/hf_json.h"

#include <fmt/core.h>

#include <cmath>
#include <limits>
#include <utility>

#include "base/json.h"
#include "checkpoint/names.h"

namespace pegainfer {

Result<json::Value> parse_json_file(std::string_view text, const std::string& path) {
  Result<json::Value> value = json::parse(text);
  if (!value) return invalid_argument(fmt::format("{}: {}", path, value.error().message));
  if (!value->is_object()) {
    return invalid_argument(fmt::format("{}: is {}, expected an object", path, json::kind_name(*value)));
  }
  return value;
}

bool Fields::has(std::string_view key) const {
  return object_.contains(boost::json::string_view(key.data(), key.size()));
}

const json::Value* Fields::find(std::string_view key) const { return json::find(object_, key); }

Error Fields::error(std::string_view key, std::string_view what) const {
  return invalid_argument(fmt::format("{}: {}{} {}", path_, where_, key, what), std::string(key));
}

Error Fields::unsupported(std::string_view key, std::string_view what) const {
  return pegainfer::unsupported(fmt::format("{}: {}{} {}", path_, where_, key, what), std::string(key));
}

Error Fields::with_path(Error error) const {
  error.message = fmt::format("{}: {}{}", path_, where_, error.message);
  return error;
}

std::string Fields::shown(const json::Value& value) {
  constexpr size_t kShown = 60;
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  std::string text = json::dump(value);
  if (text.size() > kShown) text = text.substr(0, kShown) + "...";
  return text;
}

Result<int> Fields::integer(std::string_view key, int otherwise) const {
  const Result<int64_t> v = json::get_int(object_, key, otherwise);
  if (!v) return with_path(v.error());
  if (*v < std::numeric_limits<int>::min() || *v > std::numeric_limits<int>::max()) {
    return error(key, fmt::format("is {}, which is out of range", *v));
  }
  return static_cast<int>(*v);
}

Result<double> Fields::number(std::string_view key, double otherwise) const {
  const Result<double> v = json::get_number(object_, key, otherwise);
  if (!v) return with_path(v.error());
  return *v;
}

Result<bool> Fields::boolean(std::string_view key, bool otherwise) const {
  const Result<bool> v = json::get_bool(object_, key, otherwise);
  if (!v) return with_path(v.error());
  return *v;
}

Result<std::string> Fields::text(std::string_view key, std::string_view otherwise) const {
  Result<std::string> v = json::get_string(object_, key, otherwise);
  if (!v) return with_path(v.error());
  return v;
}

Result<std::vector<TokenId>> Fields::token_ids(std::string_view key) const {
  std::vector<TokenId> out;
  const json::Value* value = find(key);
  if (value == nullptr) return out;
  const auto take = [&](const json::Value& v) {
    if (!v.is_int64() || v.get_int64() < 0 || v.get_int64() > std::numeric_limits<TokenId>::max())
      return false;
    out.push_back(static_cast<TokenId>(v.get_int64()));
    return true;
  };
  bool good = true;
  if (const json::Array* list = value->if_array()) {
    for (const json::Value& item : *list) good = good && take(item);
  } else {
    good = take(*value);
  }
  if (!good) return error(key, fmt::format("is {}, expected a token id or a list of them", shown(*value)));
  return out;
}

}  // namespace pegainfer
