// Typed reading of a request's JSON fields. The first thing wrong is kept and everything after it reads as
// its default, so that a parser is a list of reads and one look at error().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pegainfer/ids.h"
#include "pegainfer/result.h"

namespace boost::json {
class object;
class value;
}  // namespace boost::json

namespace pegainfer::openai {

struct NumberRange {
  double min = 0;
  double max = 0;
  bool min_excluded = false;
};

class Fields {
 public:
  // `prefix` stands before field names in messages: "stream_options.".
  explicit Fields(const boost::json::object& object, std::string prefix = {});

  // A missing field and null read as `otherwise`.
  bool flag(std::string_view name, bool otherwise);
  std::optional<int64_t> integer(std::string_view name, int64_t min, int64_t max);
  std::optional<double> number(std::string_view name, NumberRange range);
  std::optional<std::string> text(std::string_view name);
  std::vector<TokenId> token_ids(std::string_view name, int vocab_size, size_t max_count);
  // A string or an array of them, each of 1 to `max_bytes` bytes.
  std::vector<std::string> texts(std::string_view name, size_t max_count, size_t max_bytes);

  // Null pointer when missing or null.
  [[nodiscard]] const boost::json::value* find(std::string_view name) const;
  // The first of two names for one thing unless only the second is there: what the client wrote is what it
  // reads in an error.
  [[nodiscard]] std::string_view either(std::string_view name, std::string_view alias) const;
  // `name` is looked at elsewhere, or accepted without effect.
  void know(std::string_view name) const { known_.push_back(name); }
  // Fields of the object that were neither asked for nor known.
  [[nodiscard]] std::vector<std::string_view> unknown() const;
  void fail(std::string_view name, std::string message, std::string type = "invalid_value");
  [[nodiscard]] bool ok() const { return !error_; }
  [[nodiscard]] const Error& error() const { return *error_; }

 private:
  void wrong_kind(std::string_view name, const boost::json::value& found, std::string_view expected);

  const boost::json::object& object_;
  std::string prefix_;
  std::optional<Error> error_;
  mutable std::vector<std::string_view> known_;  // names that somebody asked for; literals, as a rule
};

// The whole number a JSON value is: 5 and 5.0, not 5.5, "5" or true.
std::optional<int64_t> as_integer(const boost::json::value& value);

}  // namespace pegainfer::openai
