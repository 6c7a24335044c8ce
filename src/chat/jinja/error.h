// How the interpreter stops: thrown inside of chat/jinja and caught by Template, which makes an Error of it.
#pragma once

#include <cstddef>
#include <exception>
#include <string>
#include <utility>

namespace pegainfer::jinja {

class Failure : public std::exception {
 public:
  Failure(std::string message, size_t at) : message_(std::move(message)), at_(at) {}
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }
  [[nodiscard]] size_t at() const { return at_; }  // byte of the source

 private:
  std::string message_;
  size_t at_;
};

}  // namespace pegainfer::jinja
