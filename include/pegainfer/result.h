// Result<T>: a value or an Error, for what the world can do to us (files, requests, memory at start-up).
// Bugs are not errors: they abort (base/check.h). The interface is the subset of std::expected<T, Error> we
// use.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace pegainfer {

// What kind of thing went wrong. The server maps it to an HTTP status, the command line to an exit code.
enum class Code : uint8_t {
  kInvalidArgument,    // the input is wrong: 400, exit 2
  kNotFound,           // no such file, model, id: 404, exit 2
  kResourceExhausted,  // queue full, not enough memory: 429 or 503, exit 3
  kUnsupported,        // valid, but not by this build or version: 501, exit 2
  kUnavailable,        // not ready or shutting down: 503, exit 4
  kCancelled,          // the asker left or asked to stop
  kIo,                 // the operating system refused: exit 4
  kInternal,           // a defect that was contained: 500, exit 70
};

struct Error {
  Code code = Code::kInternal;
  std::string message;  // one line; names the field, the file or the flag, and what would be valid
  std::string param;    // the request field or flag at fault, "" when none
  std::string type;     // machine-readable detail ("context_length_exceeded"), "" when none
};

template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : v_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const { return v_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  // The value; only when has_value() (std::get would throw, which is a defect here: noexcept makes it
  // terminate).
  T& operator*() & noexcept { return *std::get_if<0>(&v_); }
  const T& operator*() const& noexcept { return *std::get_if<0>(&v_); }
  T&& operator*() && noexcept { return std::move(*std::get_if<0>(&v_)); }
  T* operator->() noexcept { return std::get_if<0>(&v_); }
  const T* operator->() const noexcept { return std::get_if<0>(&v_); }

  [[nodiscard]] const Error& error() const& noexcept { return *std::get_if<1>(&v_); }
  [[nodiscard]] Error&& error() && noexcept { return std::move(*std::get_if<1>(&v_)); }

  T value_or(T other) && { return has_value() ? std::move(*std::get_if<0>(&v_)) : std::move(other); }

 private:
  std::variant<T, Error> v_;
};

using Status = Result<std::monostate>;
inline Status ok_status() { return Status(std::monostate{}); }

inline Error invalid_argument(std::string message, std::string param = {}, std::string type = {}) {
  return Error{Code::kInvalidArgument, std::move(message), std::move(param), std::move(type)};
}
inline Error not_found(std::string message) { return Error{Code::kNotFound, std::move(message), {}, {}}; }
inline Error unsupported(std::string message, std::string param = {}) {
  return Error{Code::kUnsupported, std::move(message), std::move(param), {}};
}
inline Error io_error(std::string message) { return Error{Code::kIo, std::move(message), {}, {}}; }
inline Error resource_exhausted(std::string message, std::string type = {}) {
  return Error{Code::kResourceExhausted, std::move(message), {}, std::move(type)};
}
inline Error internal_error(std::string message) {
  return Error{Code::kInternal, std::move(message), {}, {}};
}

}  // namespace pegainfer

#define PEGA_CONCAT_INNER(a, b) a##b
#define PEGA_CONCAT(a, b) PEGA_CONCAT_INNER(a, b)
#define PEGA_ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                               \
  if (!tmp) return std::move(tmp).error();         \
  lhs = *std::move(tmp)

// ASSIGN_OR_RETURN(auto x, f());   returns f()'s error, or declares x as its value.
#define ASSIGN_OR_RETURN(lhs, expr) PEGA_ASSIGN_OR_RETURN_IMPL(PEGA_CONCAT(pega_result_, __LINE__), lhs, expr)
// RETURN_IF_ERROR(f());            returns f()'s error, or goes on.
#define RETURN_IF_ERROR(expr)                                                           \
  do {                                                                                  \
    if (auto pega_status = (expr); !pega_status) return std::move(pega_status).error(); \
  } while (false)
