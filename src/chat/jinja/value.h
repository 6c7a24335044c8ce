// Values of the template language: Python's, as far as templates can reach them. All of them but namespaces
// are immutable (the sandbox that transformers renders in forbids changing lists and dicts), so they are
// shared.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "chat/jinja/text.h"

namespace pegainfer::jinja {

class Value;
class Runtime;
struct List;
class Dict;
struct Namespace;
struct Callable;
struct Loop;

using ListPtr = std::shared_ptr<const List>;
using DictPtr = std::shared_ptr<const Dict>;

// A name or an attribute that is not there. It prints as nothing; almost anything else done with it fails
// with what was missing.
struct Undefined {
  std::shared_ptr<const std::string> name;  // null: `owner` is the whole message
  const char* owner = nullptr;              // the type it is no attribute of; null: a variable
  [[nodiscard]] std::string message() const;
};
struct None {};
// An integer that has no room in int64_t, kept as its digits: it can be printed and no more.
struct BigInt {
  std::shared_ptr<const std::string> digits;
};

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kBigInt,
  kFloat,
  kString,
  kList,
  kDict,
  kNamespace,
  kCallable,
  kLoop
};

class Value {
 public:
  Value() : v_(None{}) {}
  Value(Undefined v) : v_(std::move(v)) {}                        // NOLINT(google-explicit-constructor)
  Value(None) : v_(None{}) {}                                     // NOLINT(google-explicit-constructor)
  Value(bool v) : v_(v) {}                                        // NOLINT(google-explicit-constructor)
  Value(int64_t v) : v_(v) {}                                     // NOLINT(google-explicit-constructor)
  Value(double v) : v_(v) {}                                      // NOLINT(google-explicit-constructor)
  Value(BigInt v) : v_(std::move(v)) {}                           // NOLINT(google-explicit-constructor)
  Value(TextPtr v) : v_(std::move(v)) {}                          // NOLINT(google-explicit-constructor)
  Value(ListPtr v) : v_(std::move(v)) {}                          // NOLINT(google-explicit-constructor)
  Value(DictPtr v) : v_(std::move(v)) {}                          // NOLINT(google-explicit-constructor)
  Value(std::shared_ptr<Namespace> v) : v_(std::move(v)) {}       // NOLINT(google-explicit-constructor)
  Value(std::shared_ptr<const Callable> v) : v_(std::move(v)) {}  // NOLINT(google-explicit-constructor)
  Value(std::shared_ptr<Loop> v) : v_(std::move(v)) {}            // NOLINT(google-explicit-constructor)
  Value(const void*) = delete;                                    // no pointer is a bool

  static Value string(std::string_view bytes, bool untrusted = false) {
    return {make_text(bytes, untrusted)};
  }
  static Value string(Text text) { return {std::make_shared<const Text>(std::move(text))}; }

  [[nodiscard]] Kind kind() const { return static_cast<Kind>(v_.index()); }
  [[nodiscard]] bool is(Kind k) const { return kind() == k; }
  [[nodiscard]] bool is_undefined() const { return is(Kind::kUndefined); }
  [[nodiscard]] bool is_none() const { return is(Kind::kNone); }
  [[nodiscard]] bool is_string() const { return is(Kind::kString); }
  [[nodiscard]] bool is_int() const { return is(Kind::kInt) || is(Kind::kBool); }  // bool is an int in Python
  [[nodiscard]] bool is_number() const { return is_int() || is(Kind::kFloat); }

  // Only of that kind.
  [[nodiscard]] const Undefined& undefined() const { return *std::get_if<Undefined>(&v_); }
  [[nodiscard]] bool boolean() const { return *std::get_if<bool>(&v_); }
  [[nodiscard]] int64_t integer() const { return is(Kind::kBool) ? boolean() : *std::get_if<int64_t>(&v_); }
  [[nodiscard]] double number() const {
    return is(Kind::kFloat) ? *std::get_if<double>(&v_) : static_cast<double>(integer());
  }
  [[nodiscard]] const std::string& big_int() const { return *std::get_if<BigInt>(&v_)->digits; }
  [[nodiscard]] const Text& text() const { return **std::get_if<TextPtr>(&v_); }
  [[nodiscard]] const TextPtr& text_ptr() const { return *std::get_if<TextPtr>(&v_); }
  [[nodiscard]] const std::string& bytes() const { return text().bytes; }
  [[nodiscard]] const List& list() const { return **std::get_if<ListPtr>(&v_); }
  [[nodiscard]] const Dict& dict() const { return **std::get_if<DictPtr>(&v_); }
  [[nodiscard]] Namespace& ns() const { return **std::get_if<std::shared_ptr<Namespace>>(&v_); }
  [[nodiscard]] const Callable& callable() const {
    return **std::get_if<std::shared_ptr<const Callable>>(&v_);
  }
  [[nodiscard]] const std::shared_ptr<Loop>& loop() const { return *std::get_if<std::shared_ptr<Loop>>(&v_); }
  // For identity.
  [[nodiscard]] const void* address() const;
  // How many lists and dicts lie in each other here.
  [[nodiscard]] int depth() const;

 private:
  std::variant<Undefined, None, bool, int64_t, BigInt, double, TextPtr, ListPtr, DictPtr,
               std::shared_ptr<Namespace>, std::shared_ptr<const Callable>, std::shared_ptr<Loop>>
      v_;
};

inline constexpr int kMaxValueDepth = 256;

// Python's sequences. Generators are computed at once but give their items once, as Python's do.
enum class Flavor : uint8_t { kList, kTuple, kRange, kGenerator, kKeys, kValues, kItems };
struct List {
  std::vector<Value> items;
  Flavor flavor = Flavor::kList;
  int depth = 1;
  mutable size_t consumed = 0;                              // of a generator
  int64_t range_start = 0, range_stop = 0, range_step = 1;  // as a range prints
};

// Keeps its order. Keys are strings nearly always.
class Dict {
 public:
  [[nodiscard]] const Value* find(const Value& key) const;
  [[nodiscard]] const Value* get(std::string_view key) const;
  void set(Value key, Value value);  // while it is built; a key that is there keeps its place
  [[nodiscard]] size_t size() const { return items_.size(); }
  [[nodiscard]] const std::vector<std::pair<Value, Value>>& items() const { return items_; }
  [[nodiscard]] int depth() const { return depth_; }

 private:
  [[nodiscard]] size_t index_of(std::string_view key) const;
  void index_from(size_t first);

  static constexpr size_t kIndexed = 12;  // from this size on there is an index
  std::vector<std::pair<Value, Value>> items_;
  std::unordered_map<std::string, size_t> index_;
  int depth_ = 1;
};

struct Namespace {
  Dict values;
};

struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};
using Function = Value (*)(Runtime&, Args&);

struct Callable {
  std::string name;
  int depth = 0;  // of what it holds
  std::function<Value(Runtime&, Args&)> call;
};

// None of these can fail.
[[nodiscard]] bool truthy(const Value& value);
[[nodiscard]] bool equal(const Value& a, const Value& b);
// Python's name of the type, for messages.
[[nodiscard]] const char* type_name(const Value& value);
[[nodiscard]] bool hashable(const Value& value);

// str(value), repr(value); numbers as Python prints them.
void append_str(TextBuilder& out, const Value& value);
void append_repr(TextBuilder& out, const Value& value);
[[nodiscard]] std::string float_repr(double value);
// str(value): the string itself when it is one.
[[nodiscard]] TextPtr to_str(const Value& value);

}  // namespace pegainfer::jinja
