// Reading the JSON files of a Hugging Face directory: typed fields whose errors name the file and the field.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/model_config.h"
#include "pegainfer/result.h"

namespace boost::json {  // the library's headers are heavy: whoever uses the values includes base/json.h
class object;
class value;
}  // namespace boost::json

namespace pegainfer {

// The object that a file holds; anything else at its top is an error.
Result<boost::json::value> parse_json_file(std::string_view text, const std::string& path);

class Fields {
 public:
  // `where` is put before field names in messages: "rope_scaling." for a nested object.
  Fields(const boost::json::object& object, const std::string& path, std::string_view where)
      : object_(object), path_(path), where_(where) {}

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const boost::json::object& object() const { return object_; }
  [[nodiscard]] bool has(std::string_view key) const;                        // null counts
  [[nodiscard]] const boost::json::value* find(std::string_view key) const;  // null when missing or null

  // Missing and null give `otherwise`.
  [[nodiscard]] Result<int> integer(std::string_view key, int otherwise) const;
  [[nodiscard]] Result<double> number(std::string_view key, double otherwise) const;
  [[nodiscard]] Result<bool> boolean(std::string_view key, bool otherwise) const;
  [[nodiscard]] Result<std::string> text(std::string_view key, std::string_view otherwise) const;
  // An id or a list of ids; missing and null give none.
  [[nodiscard]] Result<std::vector<TokenId>> token_ids(std::string_view key) const;

  [[nodiscard]] Error error(std::string_view key, std::string_view what) const;
  [[nodiscard]] Error unsupported(std::string_view key, std::string_view what) const;
  // A value for messages, cut when long.
  [[nodiscard]] static std::string shown(const boost::json::value& value);

 private:
  [[nodiscard]] Error with_path(Error error) const;

  const boost::json::object& object_;
  const std::string& path_;
  std::string_view where_;
};

// rope_parameters or rope_scaling with rope_theta.
Result<RopeConfig> parse_hf_rope(const Fields& config, int max_position_embeddings);

}  // namespace pegainfer
