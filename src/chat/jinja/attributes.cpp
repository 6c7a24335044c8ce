// obj.name and obj[key], and the methods of lists and dicts, by the rules of Jinja's immutable sandbox.
#include <fmt/format.h>

#include <algorithm>

#include "chat/jinja/builtins.h"
#include "chat/jinja/loop.h"
#include "chat/jinja/operators.h"

namespace pegainfer::jinja {
namespace {

Value dict_get(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "get", {"self", "key", "default"}, 2);
  if (!hashable(bound[1])) runtime.fail(fmt::format("unhashable type: '{}'", type_name(bound[1])));
  const Value* found = bound[0].dict().find(bound[1]);
  return found != nullptr ? *found : bound.get(2, None{});
}

template <Flavor kFlavor>
Value dict_view(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "items", {"self"}, 1);
  std::vector<Value> out;
  for (const auto& [key, value] : bound[0].dict().items()) {
    out.push_back(kFlavor == Flavor::kKeys     ? key
                  : kFlavor == Flavor::kValues ? value
                                               : runtime.list({key, value}, Flavor::kTuple));
  }
  return runtime.list(std::move(out), kFlavor);
}

Value copy(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "copy", {"self"}, 1);
  return bound[0];
}

Value list_index(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "index", {"self", "value"}, 2);
  const auto& items = bound[0].list().items;
  for (size_t i = 0; i < items.size(); ++i) {
    runtime.step();
    if (equal(items[i], bound[1])) return {static_cast<int64_t>(i)};
  }
  runtime.fail("the value is not in the list");
}

Value list_count(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "count", {"self", "value"}, 2);
  const auto& items = bound[0].list().items;
  runtime.step(static_cast<int64_t>(items.size()));
  return {static_cast<int64_t>(
      std::count_if(items.begin(), items.end(), [&](const Value& v) { return equal(v, bound[1]); }))};
}

Value loop_cycle(Runtime& runtime, Args& args) {
  if (args.positional.size() < 2) runtime.fail("no items for cycling given");
  const auto count = static_cast<int64_t>(args.positional.size()) - 1;
  return args
      .positional[static_cast<size_t>(1 + std::max<int64_t>(args.positional[0].loop()->index0, 0) % count)];
}

Value loop_changed(Runtime& runtime, Args& args) {
  Loop& loop = *args.positional[0].loop();
  std::vector<Value> now(args.positional.begin() + 1, args.positional.end());
  runtime.values(now.size());
  const bool same = loop.changed_before && std::equal(now.begin(), now.end(), loop.last_changed.begin(),
                                                      loop.last_changed.end(), equal);
  if (!loop.ended) {  // afterwards it could come to hold itself
    loop.changed_before = true;
    loop.last_changed = std::move(now);
  }
  return {!same};
}

bool is_any(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Value loop_attribute(Loop& loop, const std::shared_ptr<const std::string>& name) {
  const std::string& n = *name;
  if (n == "index") return {loop.index0 + 1};
  if (n == "index0") return {loop.index0};
  if (n == "first") return {loop.index0 == 0};
  if (n == "last") return {!loop.peek()};
  if (n == "length") return {loop.length()};
  if (n == "revindex") return {loop.length() - loop.index0};
  if (n == "revindex0") return {loop.length() - loop.index0 - 1};
  if (n == "depth") return {loop.depth0 + 1};
  if (n == "depth0") return {loop.depth0};
  if (n == "previtem")
    return loop.index0 > 0 ? loop.previous : Value(Undefined{nullptr, "there is no previous item"});
  if (n == "nextitem") return loop.peek() ? loop.after : Value(Undefined{nullptr, "there is no next item"});
  return {Undefined{name, "LoopContext"}};
}

Value bind(Runtime& runtime, const Value& object, const std::string& name, Function function) {
  runtime.memory(128);
  auto bound = std::make_shared<Callable>();
  bound->name = name;
  bound->depth = object.depth() + 1;
  if (bound->depth > kMaxValueDepth) runtime.fail("a value is nested too deeply");
  bound->call = [object, function](Runtime& caller, Args& args) {
    args.positional.insert(args.positional.begin(), object);
    return function(caller, args);
  };
  return {std::shared_ptr<const Callable>(std::move(bound))};
}

// The attribute itself, without items; undefined: none.
Value own_attribute(Runtime& runtime, const Value& object, const std::shared_ptr<const std::string>& name) {
  if (object.is(Kind::kNamespace)) {
    const Value* found = object.ns().values.get(*name);
    return found != nullptr ? *found : Value(Undefined{name, "Namespace"});
  }
  bool forbidden = false;
  if (const Function method = find_method(object, *name, &forbidden)) {
    return bind(runtime, object, *name, method);
  }
  if (object.is(Kind::kLoop)) return loop_attribute(*object.loop(), name);
  return {Undefined{name, type_name(object)}};
}

const Value* item_of(const Value& object, const Value& key) {
  if (object.is(Kind::kDict)) {
    return hashable(key) ? object.dict().find(key) : nullptr;
  }
  if (!object.is(Kind::kList) || object.list().flavor > Flavor::kRange || !key.is_int()) return nullptr;
  const auto& items = object.list().items;
  const auto size = static_cast<int64_t>(items.size());
  const int64_t i = key.integer() < 0 ? key.integer() + size : key.integer();
  return i >= 0 && i < size ? &items[static_cast<size_t>(i)] : nullptr;
}

Value character(const Text& text, int64_t index) {
  const auto size = static_cast<int64_t>(length(text.bytes));
  const int64_t i = index < 0 ? index + size : index;
  if (i < 0 || i >= size)
    return {Undefined{std::make_shared<const std::string>(std::to_string(index)), "str"}};
  const size_t at = offset_of(text.bytes, static_cast<size_t>(i));
  return Value::string(slice_bytes(text, at, at + decode(std::string_view(text.bytes).substr(at)).size));
}

}  // namespace

Function find_list_method(std::string_view name, Flavor flavor) {
  if (flavor > Flavor::kRange) return nullptr;
  if (name == "index") return list_index;
  if (name == "count") return list_count;
  return name == "copy" && flavor == Flavor::kList ? copy : nullptr;
}

Function find_dict_method(std::string_view name) {
  if (name == "get") return dict_get;
  if (name == "items") return dict_view<Flavor::kItems>;
  if (name == "keys") return dict_view<Flavor::kKeys>;
  if (name == "values") return dict_view<Flavor::kValues>;
  return name == "copy" ? copy : nullptr;
}

Function find_method(const Value& object, std::string_view name, bool* forbidden) {
  switch (object.kind()) {
    case Kind::kString: return find_string_method(name);
    case Kind::kDict:
      *forbidden = is_any(name, {"clear", "pop", "popitem", "setdefault", "update"});
      return find_dict_method(name);
    case Kind::kList:
      *forbidden = object.list().flavor == Flavor::kList &&
                   is_any(name, {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"});
      return find_list_method(name, object.list().flavor);
    case Kind::kLoop: return name == "cycle" ? loop_cycle : name == "changed" ? loop_changed : nullptr;
    default: return nullptr;
  }
}

Value get_attribute(Runtime& runtime, const Value& object, const std::shared_ptr<const std::string>& name) {
  runtime.defined(object);
  bool forbidden = false;
  if (object.is(Kind::kDict)) {
    if (const Function method = find_method(object, *name, &forbidden)) {
      return bind(runtime, object, *name, method);
    }
    if (forbidden) return {Undefined{nullptr, "access to an attribute that changes a dict is unsafe"}};
    const Value* found = object.dict().get(*name);
    return found != nullptr ? *found : Value(Undefined{name, "dict"});
  }
  if (object.is(Kind::kList)) {
    const Function method = find_method(object, *name, &forbidden);
    if (method == nullptr && forbidden) {
      return {Undefined{nullptr, "access to an attribute that changes a list is unsafe"}};
    }
  }
  return own_attribute(runtime, object, name);
}

Value get_item(Runtime& runtime, const Value& object, const Value& key) {
  runtime.defined(object);
  if (object.is_string() && key.is_int()) {
    runtime.step(static_cast<int64_t>(object.bytes().size() >> 8));
    return character(object.text(), key.integer());
  }
  if (const Value* found = item_of(object, key)) return *found;
  if (!key.is_string()) {
    TextBuilder name;
    append_str(name, key);
    runtime.text(name.size());
    return {Undefined{std::make_shared<const std::string>(name.bytes()), type_name(object)}};
  }
  auto name = std::make_shared<const std::string>(key.bytes());
  if (object.is(Kind::kDict)) {
    bool forbidden = false;
    const Function method = find_method(object, *name, &forbidden);
    return method != nullptr ? bind(runtime, object, *name, method)
                             : Value(Undefined{std::move(name), "dict"});
  }
  return own_attribute(runtime, object, name);
}

}  // namespace pegainfer::jinja
