// What operations of the language need while a template runs: the limits, the clock, and how to fail.
#pragma once

#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>

#include "chat/jinja/error.h"
#include "chat/jinja/limits.h"
#include "chat/jinja/value.h"

namespace pegainfer::jinja {

class Runtime {
 public:
  Runtime(const Limits& limits, size_t input_bytes, std::chrono::system_clock::time_point time)
      : now(time),
        limits_(limits),
        text_limit_(limits.output_bytes + input_bytes),
        memory_left_(limits.memory_bytes + 64 * input_bytes) {}

  [[noreturn]] void fail(std::string message) const { throw Failure(std::move(message), at); }

  void step(int64_t n = 1) {
    if ((steps_ += n) > limits_.steps) fail("the template takes too many steps");
  }
  // While a text grows.
  void check(size_t bytes) const {
    if (bytes > text_limit_) fail("a text of the template is too large");
  }
  // Before `bytes` of text are made.
  void text(size_t bytes) {
    check(bytes);
    memory(bytes);
    step(static_cast<int64_t>(bytes >> 8));
  }
  // Before `count` values are made.
  void values(size_t count) {
    if (count > memory_left_) fail("the template takes too much memory");
    memory(count * sizeof(Value));
    step(static_cast<int64_t>(count >> 4));
  }
  void memory(size_t bytes) {
    if (bytes > memory_left_) fail("the template takes too much memory");
    memory_left_ -= bytes;
  }
  void enter() {
    const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    if (++depth_ > limits_.depth || (stack_ > here && stack_ - here > limits_.stack_bytes)) {
      depth_ = 0;  // the failure unwinds everything
      fail("the template is nested too deeply");
    }
  }
  void leave() { --depth_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }

  Value list(std::vector<Value> items, Flavor flavor = Flavor::kList);
  Value dict(Dict dict);
  Value string(TextBuilder& builder, bool markup = false) {
    text(builder.size());
    return {make_text(builder, markup)};
  }
  // The items of a string, list or dict (its keys). Fails for what can not be iterated; of a generator the
  // items are then used up.
  std::vector<Value> iterate(const Value& value);
  TextPtr str(const Value& value);
  // Value as what it is needed to be, or a failure that says so.
  int64_t integer(const Value& value, std::string_view what);
  const Text& string(const Value& value, std::string_view what);
  [[noreturn]] void fail_undefined(const Value& value) const { fail(value.undefined().message()); }
  void defined(const Value& value) const {
    if (value.is_undefined()) fail_undefined(value);
  }
  Value call(const Value& callee, Args& args);
  // Namespaces can hold each other in a circle: they are emptied when the rendering ends.
  void keep(std::shared_ptr<Namespace> ns) { namespaces_.push_back(std::move(ns)); }
  ~Runtime() {
    for (const auto& ns : namespaces_) ns->values = Dict();
  }
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  size_t at = 0;  // byte of the source that is being evaluated
  std::chrono::system_clock::time_point now;
  int macro_depth = 0;

 private:
  const Limits& limits_;
  size_t text_limit_;
  size_t memory_left_;
  int64_t steps_ = 0;
  int depth_ = 0;
  uintptr_t stack_ = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));  // it grows down from here
  std::vector<std::shared_ptr<Namespace>> namespaces_;
};

class Nested {
 public:
  explicit Nested(Runtime& runtime) : runtime_(runtime) { runtime_.enter(); }
  ~Nested() { runtime_.leave(); }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  Runtime& runtime_;
};

// Arguments bound to a function's parameters, as Python binds them.
class Bound {
 public:
  Bound(Runtime& runtime, Args& args, std::string_view function,
        std::initializer_list<std::string_view> parameters, size_t required);
  [[nodiscard]] bool has(size_t i) const { return values_[i] != nullptr; }
  [[nodiscard]] const Value& operator[](size_t i) const { return *values_[i]; }
  [[nodiscard]] Value get(size_t i, const Value& otherwise) const { return has(i) ? *values_[i] : otherwise; }
  // Given and not none.
  [[nodiscard]] bool set(size_t i) const { return has(i) && !values_[i]->is_none(); }

 private:
  static constexpr size_t kMost = 8;
  const Value* values_[kMost] = {};
};

}  // namespace pegainfer::jinja
