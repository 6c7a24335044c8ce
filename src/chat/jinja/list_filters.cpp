// Jinja's filters over sequences.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/string_ops.h"

namespace pegainfer::jinja {
namespace {

Value undefined(const char* message) { return {Undefined{nullptr, message}}; }
Value ignore_case(const Value& value) {
  return value.is_string() ? Value::string(lower(value.text())) : value;
}

// What `attribute="a.b.0"` reads of an item.
class Getter {
 public:
  Getter(Runtime& runtime, const Value& attribute) : runtime_(runtime) {
    if (attribute.is_none()) return;
    if (!attribute.is_string()) {
      path_.push_back(attribute);
      return;
    }
    const TextPtr dot = make_text(".");
    for (const Text& part : split(attribute.text(), dot.get(), -1, false)) {
      const bool number = !part.bytes.empty() && part.bytes.size() < 10 &&
                          part.bytes.find_first_not_of("0123456789") == std::string::npos;
      path_.push_back(number ? Value(int64_t{std::stoll(part.bytes)}) : Value::string(part));
    }
  }
  Value operator()(Value item) const {
    for (const Value& part : path_) {
      item = get_item(runtime_, item, part);
      if (default_ && item.is_undefined()) item = *default_;
    }
    return item;
  }
  void otherwise(Value value) {
    if (!value.is_none()) default_ = std::move(value);
  }

 private:
  Runtime& runtime_;
  std::vector<Value> path_;
  std::optional<Value> default_;
};

std::vector<Value> mapped(Runtime& runtime, const std::vector<Value>& items, const Getter& getter,
                          bool fold_case) {
  std::vector<Value> keys;
  runtime.values(items.size());
  for (const Value& item : items) {
    runtime.step();
    keys.push_back(fold_case ? ignore_case(getter(item)) : getter(item));
  }
  return keys;
}

std::vector<size_t> sorted_order(Runtime& runtime, const std::vector<Value>& keys, bool reverse) {
  std::vector<size_t> order(keys.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    runtime.step();
    return reverse ? less(runtime, keys[b], keys[a]) : less(runtime, keys[a], keys[b]);
  });
  // Python compares even where there is nothing to order: two keys that can not be compared fail anyway.
  return order;
}

Value length_filter(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "length", {"obj"}, 1);
  const Value& value = bound[0];
  switch (value.kind()) {
    case Kind::kUndefined: return {int64_t{0}};
    case Kind::kString:
      runtime.step(static_cast<int64_t>(value.bytes().size() >> 8));
      return {static_cast<int64_t>(length(value.bytes()))};
    case Kind::kDict: return {static_cast<int64_t>(value.dict().size())};
    case Kind::kList:
      if (value.list().flavor != Flavor::kGenerator) return {static_cast<int64_t>(value.list().items.size())};
      [[fallthrough]];
    default: runtime.fail(fmt::format("object of type '{}' has no len()", type_name(value)));
  }
}

Value join(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "join", {"value", "d", "attribute"}, 1);
  const TextPtr between = bound.has(1) ? runtime.str(bound[1]) : make_text("");
  const Getter getter(runtime, bound.get(2, None{}));
  TextBuilder out;
  bool first = true;
  for (const Value& item : runtime.iterate(bound[0])) {
    if (!first) out.append(*between);
    first = false;
    append_str(out, getter(item));
    runtime.check(out.size());
  }
  return runtime.string(out);
}

Value list_filter(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "list", {"value"}, 1);
  return runtime.list(runtime.iterate(bound[0]));
}

Value first(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "first", {"seq"}, 1);
  if (bound[0].is(Kind::kList)) {
    const List& list = bound[0].list();
    if (list.consumed >= list.items.size()) return undefined("No first item, sequence was empty.");
    return list.items[list.flavor == Flavor::kGenerator ? list.consumed++ : 0];
  }
  std::vector<Value> items = runtime.iterate(bound[0]);
  return items.empty() ? undefined("No first item, sequence was empty.") : items.front();
}

Value last(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "last", {"seq"}, 1);
  if (bound[0].is(Kind::kList) && bound[0].list().flavor == Flavor::kGenerator) {
    runtime.fail("'generator' object is not reversible");
  }
  runtime.defined(bound[0]);
  if (bound[0].is(Kind::kList) && !bound[0].list().items.empty()) return bound[0].list().items.back();
  std::vector<Value> items = runtime.iterate(bound[0]);
  return items.empty() ? undefined("No last item, sequence was empty.") : items.back();
}

Value reverse(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "reverse", {"value"}, 1);
  if (bound[0].is_string()) {
    return slice(runtime, bound[0], None{}, None{}, int64_t{-1});
  }
  const bool was_generator = bound[0].is(Kind::kList) && bound[0].list().flavor == Flavor::kGenerator;
  std::vector<Value> items = runtime.iterate(bound[0]);
  std::reverse(items.begin(), items.end());
  return runtime.list(std::move(items), was_generator ? Flavor::kList : Flavor::kGenerator);
}

Value sort(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "sort", {"value", "reverse", "case_sensitive", "attribute"}, 1);
  const std::vector<Value> items = runtime.iterate(bound[0]);
  const bool fold = !bound.has(2) || !truthy(bound[2]);
  std::vector<Value> keys;
  if (bound.set(3) && bound[3].is_string() && bound[3].bytes().find(',') != std::string::npos) {
    const TextPtr comma = make_text(",");
    std::vector<Getter> getters;
    for (Text& part : split(bound[3].text(), comma.get(), -1, false))
      getters.emplace_back(runtime, Value::string(std::move(part)));
    for (const Value& item : items) {
      std::vector<Value> key;
      key.reserve(getters.size());
      for (const Getter& getter : getters) key.push_back(fold ? ignore_case(getter(item)) : getter(item));
      keys.push_back(runtime.list(std::move(key)));
    }
  } else {
    keys = mapped(runtime, items, Getter(runtime, bound.get(3, None{})), fold);
  }
  std::vector<Value> out;
  for (const size_t i : sorted_order(runtime, keys, bound.has(1) && truthy(bound[1])))
    out.push_back(items[i]);
  return runtime.list(std::move(out));
}

Value dictsort(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "dictsort", {"value", "case_sensitive", "by", "reverse"}, 1);
  runtime.defined(bound[0]);
  if (!bound[0].is(Kind::kDict))
    runtime.fail(fmt::format("'{}' object has no attribute 'items'", type_name(bound[0])));
  const std::string by = bound.has(2) ? runtime.string(bound[2], "dictsort's by").bytes : "key";
  if (by != "key" && by != "value") runtime.fail("You can only sort by either \"key\" or \"value\"");
  const auto& items = bound[0].dict().items();
  std::vector<Value> keys;
  const bool fold = !bound.has(1) || !truthy(bound[1]);
  for (const auto& [key, value] : items) {
    const Value& used = by == "key" ? key : value;
    keys.push_back(fold ? ignore_case(used) : used);
  }
  std::vector<Value> out;
  for (const size_t i : sorted_order(runtime, keys, bound.has(3) && truthy(bound[3]))) {
    out.push_back(runtime.list({items[i].first, items[i].second}, Flavor::kTuple));
  }
  return runtime.list(std::move(out));
}

Value unique(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "unique", {"value", "case_sensitive", "attribute"}, 1);
  const std::vector<Value> items = runtime.iterate(bound[0]);
  const bool fold = !bound.has(1) || !truthy(bound[1]);
  const std::vector<Value> keys = mapped(runtime, items, Getter(runtime, bound.get(2, None{})), fold);
  Dict seen;
  std::vector<Value> out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!hashable(keys[i])) runtime.fail(fmt::format("unhashable type: '{}'", type_name(keys[i])));
    runtime.step(keys[i].is_string() ? 1 : static_cast<int64_t>(seen.size()) + 1);
    if (seen.find(keys[i]) != nullptr) continue;
    seen.set(keys[i], None{});
    out.push_back(items[i]);
  }
  return runtime.list(std::move(out), Flavor::kGenerator);
}

template <bool kMax>
Value extreme(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, kMax ? "max" : "min", {"value", "case_sensitive", "attribute"}, 1);
  const std::vector<Value> items = runtime.iterate(bound[0]);
  if (items.empty()) return undefined("No aggregated item, sequence was empty.");
  const bool fold = !bound.has(1) || !truthy(bound[1]);
  const std::vector<Value> keys = mapped(runtime, items, Getter(runtime, bound.get(2, None{})), fold);
  size_t best = 0;
  for (size_t i = 1; i < keys.size(); ++i) {
    if (kMax ? less(runtime, keys[best], keys[i]) : less(runtime, keys[i], keys[best])) best = i;
  }
  return items[best];
}

Value sum(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "sum", {"iterable", "attribute", "start"}, 1);
  const Getter getter(runtime, bound.get(1, None{}));
  Value total = bound.get(2, int64_t{0});
  if (total.is_string()) runtime.fail("sum() can't sum strings");
  for (const Value& item : runtime.iterate(bound[0]))
    total = binary(runtime, Operator::kAdd, total, getter(item));
  return total;
}

Value batch(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "batch", {"value", "linecount", "fill_with"}, 2);
  const int64_t count = runtime.integer(bound[1], "batch's size");
  std::vector<Value> out, line;
  const auto finish = [&] { out.push_back(runtime.list(std::exchange(line, {}))); };
  for (Value& item : runtime.iterate(bound[0])) {
    if (!line.empty() && static_cast<int64_t>(line.size()) == count) finish();
    line.push_back(std::move(item));
  }
  if (!line.empty()) {
    if (bound.set(2) && count > 0) {
      runtime.values(static_cast<size_t>(count));
      while (static_cast<int64_t>(line.size()) < count) line.push_back(bound[2]);
    }
    finish();
  }
  return runtime.list(std::move(out), Flavor::kGenerator);
}

Value slice_filter(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "slice", {"value", "slices", "fill_with"}, 2);
  const std::vector<Value> items = runtime.iterate(bound[0]);
  const int64_t count = runtime.integer(bound[1], "the number of slices");
  if (count == 0) runtime.fail("integer division or modulo by zero");
  if (count > runtime.limits().range) runtime.fail("too many slices");
  const auto size = static_cast<int64_t>(items.size());
  std::vector<Value> out;
  int64_t begin = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t end = begin + size / count + (i < size % count ? 1 : 0);
    std::vector<Value> part(items.begin() + begin, items.begin() + end);
    if (bound.set(2) && i >= size % count) part.push_back(bound[2]);
    out.push_back(runtime.list(std::move(part)));
    begin = end;
  }
  return runtime.list(std::move(out), Flavor::kGenerator);
}

Value groupby(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "groupby", {"value", "attribute", "default", "case_sensitive"}, 2);
  Getter getter(runtime, bound[1]);
  if (bound.has(2)) getter.otherwise(bound[2]);
  const bool fold = !bound.has(3) || !truthy(bound[3]);
  const std::vector<Value> items = runtime.iterate(bound[0]);
  const std::vector<Value> keys = mapped(runtime, items, getter, fold);
  std::vector<Value> out;
  const std::vector<size_t> order = sorted_order(runtime, keys, false);
  for (size_t i = 0; i < order.size();) {
    std::vector<Value> group;
    const size_t head = order[i];
    for (; i < order.size() && equal(keys[order[i]], keys[head]); ++i) group.push_back(items[order[i]]);
    out.push_back(runtime.list({getter(items[head]), runtime.list(std::move(group))}, Flavor::kTuple));
  }
  return runtime.list(std::move(out));
}

Value items_filter(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "items", {"value"}, 1);
  std::vector<Value> out;
  if (bound[0].is(Kind::kDict)) {
    for (const auto& [key, value] : bound[0].dict().items())
      out.push_back(runtime.list({key, value}, Flavor::kTuple));
  } else if (!bound[0].is_undefined()) {
    runtime.fail("Can only get item pairs from a mapping.");
  }
  return runtime.list(std::move(out), Flavor::kGenerator);
}

Value map(Runtime& runtime, Args& args) {
  if (args.positional.empty()) runtime.fail("map() misses its value");
  const Value sequence = args.positional[0];
  if (!truthy(sequence)) return runtime.list({}, Flavor::kGenerator);
  std::vector<Value> out;
  if (args.positional.size() == 1 && !args.named.empty()) {
    Value attribute, otherwise;
    bool found = false;
    for (const auto& [name, value] : args.named) {
      if (name == "attribute") {
        attribute = value, found = true;
      } else if (name == "default") {
        otherwise = value;
      } else {
        runtime.fail(fmt::format("Unexpected keyword argument '{}'", name));
      }
    }
    if (!found) runtime.fail("map requires a filter argument");
    Getter getter(runtime, attribute);
    getter.otherwise(otherwise);
    return runtime.list(mapped(runtime, runtime.iterate(sequence), getter, false), Flavor::kGenerator);
  }
  if (args.positional.size() < 2) runtime.fail("map requires a filter argument");
  const std::string& name = runtime.string(args.positional[1], "a filter's name").bytes;
  const Function filter = find_filter(name);
  if (filter == nullptr) runtime.fail(fmt::format("no filter named '{}'", name));
  for (Value& item : runtime.iterate(sequence)) {
    const Nested nested(runtime);
    runtime.step();
    Args inner;
    inner.positional.push_back(std::move(item));
    inner.positional.insert(inner.positional.end(), args.positional.begin() + 2, args.positional.end());
    inner.named = args.named;
    out.push_back(filter(runtime, inner));
  }
  return runtime.list(std::move(out), Flavor::kGenerator);
}

template <bool kKeep, bool kAttribute>
Value select(Runtime& runtime, Args& args) {
  if (args.positional.empty()) runtime.fail("select() misses its value");
  const Value sequence = args.positional[0];
  if (!truthy(sequence)) return runtime.list({}, Flavor::kGenerator);
  size_t next = 1;
  Value attribute;
  if (kAttribute) {
    if (args.positional.size() < 2) runtime.fail("Missing parameter for attribute name");
    attribute = args.positional[next++];
  }
  const Getter getter(runtime, attribute);
  Function test = nullptr;
  if (next < args.positional.size()) {
    const std::string& name = runtime.string(args.positional[next++], "a test's name").bytes;
    test = find_test(name);
    if (test == nullptr) runtime.fail(fmt::format("no test named '{}'", name));
  }
  std::vector<Value> out;
  for (Value& item : runtime.iterate(sequence)) {
    const Nested nested(runtime);
    runtime.step();
    const Value tested = getter(item);
    bool keep = false;
    if (test != nullptr) {
      Args inner;
      inner.positional.push_back(tested);
      inner.positional.insert(inner.positional.end(), args.positional.begin() + static_cast<ptrdiff_t>(next),
                              args.positional.end());
      inner.named = args.named;
      keep = truthy(test(runtime, inner));
    } else {
      keep = truthy(tested);
    }
    if (keep == kKeep) out.push_back(std::move(item));
  }
  return runtime.list(std::move(out), Flavor::kGenerator);
}

struct Entry {
  std::string_view name;
  Function function;
};
constexpr Entry kFilters[] = {
    {"batch", batch},
    {"count", length_filter},
    {"dictsort", dictsort},
    {"first", first},
    {"groupby", groupby},
    {"items", items_filter},
    {"join", join},
    {"last", last},
    {"length", length_filter},
    {"list", list_filter},
    {"map", map},
    {"max", extreme<true>},
    {"min", extreme<false>},
    {"reject", select<false, false>},
    {"rejectattr", select<false, true>},
    {"reverse", reverse},
    {"select", select<true, false>},
    {"selectattr", select<true, true>},
    {"slice", slice_filter},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

Function find_list_filter(std::string_view name) {
  for (const Entry& entry : kFilters) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}

}  // namespace pegainfer::jinja
