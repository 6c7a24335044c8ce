#include "chat/jinja/runtime.h"

#include <fmt/format.h>

#include <algorithm>

namespace pegainfer::jinja {

Value Runtime::list(std::vector<Value> items, Flavor flavor) {
  values(items.size() + 2);
  auto made = std::make_shared<List>();
  for (const Value& item : items) made->depth = std::max(made->depth, item.depth() + 1);
  if (made->depth > kMaxValueDepth) fail("a value is nested too deeply");
  made->items = std::move(items);
  made->flavor = flavor;
  return {ListPtr(std::move(made))};
}

Value Runtime::dict(Dict dict) {
  values(2 * dict.size() + 2);
  if (dict.depth() > kMaxValueDepth) fail("a value is nested too deeply");
  return {DictPtr(std::make_shared<const Dict>(std::move(dict)))};
}

std::vector<Value> Runtime::iterate(const Value& value) {
  std::vector<Value> items;
  if (value.is(Kind::kList)) {
    const List& list = value.list();
    step(static_cast<int64_t>(list.items.size() >> 3));
    if (list.flavor != Flavor::kGenerator) return list.items;
    items.assign(list.items.begin() + static_cast<ptrdiff_t>(list.consumed), list.items.end());
    list.consumed = list.items.size();
  } else if (value.is(Kind::kDict)) {
    for (const auto& [key, item] : value.dict().items()) items.push_back(key);
  } else if (value.is_string()) {
    const Text& text = value.text();
    values(text.bytes.size() * 4);
    for_each_run(text, [&](std::string_view run, bool untrusted) {
      for (size_t next = 0; next < run.size();) {
        const size_t size = decode(run.substr(next)).size;
        items.push_back(Value::string(run.substr(next, size), untrusted));
        next += size;
      }
    });
  } else if (!value.is_undefined()) {
    fail(fmt::format("'{}' object is not iterable", type_name(value)));
  }
  values(items.size());
  return items;
}

TextPtr Runtime::str(const Value& value) {
  if (!value.is_string()) {
    TextBuilder out;
    append_str(out, value);
    text(out.size());
    return make_text(out);
  }
  return to_str(value);
}

int64_t Runtime::integer(const Value& value, std::string_view what) {
  if (!value.is_int()) fail(fmt::format("{} must be an integer, not '{}'", what, type_name(value)));
  return value.integer();
}

const Text& Runtime::string(const Value& value, std::string_view what) {
  if (!value.is_string()) fail(fmt::format("{} must be a string, not '{}'", what, type_name(value)));
  return value.text();
}

Value Runtime::call(const Value& callee, Args& args) {
  if (callee.is_undefined()) fail_undefined(callee);
  if (!callee.is(Kind::kCallable)) fail(fmt::format("'{}' object is not callable", type_name(callee)));
  const Nested nested(*this);
  step();
  return callee.callable().call(*this, args);
}

Bound::Bound(Runtime& runtime, Args& args, std::string_view function,
             std::initializer_list<std::string_view> parameters, size_t required) {
  if (args.positional.size() > parameters.size()) {
    runtime.fail(fmt::format("{}() takes at most {} arguments, got {}", function, parameters.size(),
                             args.positional.size()));
  }
  for (size_t i = 0; i < args.positional.size(); ++i) values_[i] = &args.positional[i];
  for (const auto& [name, value] : args.named) {
    const auto* found = std::find(parameters.begin(), parameters.end(), name);
    if (found == parameters.end()) {
      runtime.fail(fmt::format("{}() got an unexpected argument '{}'", function, name));
    }
    const Value*& slot = values_[found - parameters.begin()];
    if (slot != nullptr) runtime.fail(fmt::format("{}() got several values for '{}'", function, name));
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (values_[i] == nullptr) {
      runtime.fail(fmt::format("{}() misses the argument '{}'", function, *(parameters.begin() + i)));
    }
  }
}

}  // namespace pegainfer::jinja
