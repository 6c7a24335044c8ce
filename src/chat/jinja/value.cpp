#include "chat/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>

#include "chat/jinja/loop.h"

namespace pegainfer::jinja {

std::string Undefined::message() const {
  if (!name) return owner != nullptr ? owner : "the value is undefined";
  if (owner == nullptr) return fmt::format("'{}' is undefined", *name);
  return fmt::format("'{}' has no attribute '{}'", owner, *name);
}

const void* Value::address() const {
  switch (kind()) {
    case Kind::kString: return text_ptr().get();
    case Kind::kList: return &list();
    case Kind::kDict: return &dict();
    case Kind::kNamespace: return &ns();
    case Kind::kCallable: return &callable();
    case Kind::kLoop: return loop().get();
    default: return nullptr;
  }
}

int Value::depth() const {
  if (is(Kind::kList)) return list().depth;
  if (is(Kind::kDict)) return dict().depth();
  if (is(Kind::kCallable)) return callable().depth;
  return 0;
}

size_t Dict::index_of(std::string_view key) const {
  if (items_.size() >= kIndexed) {
    const auto found = index_.find(std::string(key));
    return found == index_.end() ? items_.size() : found->second;
  }
  for (size_t i = 0; i < items_.size(); ++i) {
    if (items_[i].first.is_string() && items_[i].first.bytes() == key) return i;
  }
  return items_.size();
}

void Dict::index_from(size_t first) {
  for (size_t i = first; i < items_.size(); ++i) {
    if (items_[i].first.is_string()) index_.emplace(items_[i].first.bytes(), i);
  }
}

const Value* Dict::get(std::string_view key) const {
  const size_t i = index_of(key);
  return i < items_.size() ? &items_[i].second : nullptr;
}

const Value* Dict::find(const Value& key) const {
  if (key.is_string()) return get(key.bytes());
  for (const auto& [k, v] : items_) {
    if (!k.is_string() && equal(k, key)) return &v;
  }
  return nullptr;
}

void Dict::set(Value key, Value value) {
  depth_ = std::max({depth_, value.depth() + 1, key.depth() + 1});
  if (const Value* there = find(key)) {
    *const_cast<Value*>(there) = std::move(value);  // NOLINT: it is ours
    return;
  }
  items_.emplace_back(std::move(key), std::move(value));
  if (items_.size() == kIndexed) {
    index_from(0);
  } else if (items_.size() > kIndexed) {
    index_from(items_.size() - 1);
  }
}

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone: return false;
    case Kind::kBool:
    case Kind::kInt: return value.integer() != 0;
    case Kind::kFloat: return value.number() != 0.0;
    case Kind::kString: return !value.bytes().empty();
    case Kind::kList: return value.list().flavor == Flavor::kGenerator || !value.list().items.empty();
    case Kind::kDict: return value.dict().size() != 0;
    default: return true;
  }
}

namespace {

bool equal_lists(const List& a, const List& b) {
  // A list is never a tuple; views and generators are equal to themselves alone.
  if (a.flavor != b.flavor || a.flavor == Flavor::kGenerator || a.flavor == Flavor::kValues) return &a == &b;
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), equal);
}

bool equal_dicts(const Dict& a, const Dict& b) {
  return a.size() == b.size() && std::all_of(a.items().begin(), a.items().end(), [&](const auto& item) {
           const Value* other = b.find(item.first);
           return other != nullptr && equal(item.second, *other);
         });
}

}  // namespace

bool equal(const Value& a, const Value& b) {
  if (a.is_int() && b.is_int()) return a.integer() == b.integer();
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone: return true;
    case Kind::kString: return a.bytes() == b.bytes();
    case Kind::kBigInt: return a.big_int() == b.big_int();
    case Kind::kList: return equal_lists(a.list(), b.list());
    case Kind::kDict: return equal_dicts(a.dict(), b.dict());
    default: return a.address() == b.address();
  }
}

const char* type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined: return "Undefined";
    case Kind::kNone: return "None";
    case Kind::kBool: return "bool";
    case Kind::kInt:
    case Kind::kBigInt: return "int";
    case Kind::kFloat: return "float";
    case Kind::kString: return value.text().markup ? "Markup" : "str";
    case Kind::kList:
      switch (value.list().flavor) {
        case Flavor::kList: return "list";
        case Flavor::kTuple: return "tuple";
        case Flavor::kRange: return "range";
        case Flavor::kGenerator: return "generator";
        case Flavor::kKeys: return "dict_keys";
        case Flavor::kValues: return "dict_values";
        case Flavor::kItems: return "dict_items";
      }
      return "list";
    case Kind::kDict: return "dict";
    case Kind::kNamespace: return "Namespace";
    case Kind::kCallable: return "function";
    case Kind::kLoop: return "LoopContext";
  }
  return "object";
}

bool hashable(const Value& value) {
  if (value.is(Kind::kDict)) return false;
  if (!value.is(Kind::kList)) return true;
  const List& list = value.list();
  switch (list.flavor) {
    case Flavor::kTuple: return std::all_of(list.items.begin(), list.items.end(), hashable);
    case Flavor::kRange:
    case Flavor::kGenerator: return true;
    default: return false;
  }
}

}  // namespace pegainfer::jinja
