// A compiled template: the only door of chat/jinja.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "chat/jinja/limits.h"
#include "chat/jinja/value.h"
#include "pegainfer/result.h"

namespace pegainfer::jinja {

struct Ast;

class Template {
 public:
  using Variables = std::vector<std::pair<std::string, Value>>;

  // An error is kInvalidArgument, type "template_error", and names row and column.
  static Result<std::shared_ptr<const Template>> compile(std::string_view source, const Limits& limits = {});
  ~Template();
  Template(const Template&) = delete;
  Template& operator=(const Template&) = delete;

  // `input_bytes`: of all texts in `variables`; what may be made of them grows with it. Any thread.
  [[nodiscard]] Result<Text> render(const Variables& variables, size_t input_bytes,
                                    std::chrono::system_clock::time_point now) const;

  // Some loop runs over what a loop over `sequence` reads as its item's `attribute`: over the content of
  // messages.
  [[nodiscard]] bool iterates_over(const std::string& sequence, const std::string& attribute) const;

 private:
  Template(std::string source, const Limits& limits);
  [[nodiscard]] Error error(std::string message, size_t at) const;

  std::string source_;
  Limits limits_;
  std::unique_ptr<Ast> ast_;
};

}  // namespace pegainfer::jinja
