// The functions that a template finds without being given them: Jinja's, and those that transformers adds.
#include <fmt/format.h>

#include <ctime>

#include "chat/jinja/builtins.h"

namespace pegainfer::jinja {
namespace {

Value range(Runtime& runtime, Args& args) {
  if (!args.named.empty()) runtime.fail("range() takes no keyword arguments");
  const size_t count = args.positional.size();
  if (count < 1 || count > 3) runtime.fail(fmt::format("range expected 1 to 3 arguments, got {}", count));
  const auto number = [&](size_t i) {
    runtime.defined(args.positional[i]);
    return runtime.integer(args.positional[i], "range's argument");
  };
  const int64_t start = count > 1 ? number(0) : 0;
  const int64_t stop = number(count > 1 ? 1 : 0);
  const int64_t step = count > 2 ? number(2) : 1;
  if (step == 0) runtime.fail("range() arg 3 must not be zero");
  auto list = std::make_shared<List>();
  list->flavor = Flavor::kRange;
  list->range_start = start;
  list->range_stop = stop;
  list->range_step = step;
  const int64_t most = runtime.limits().range;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<int64_t>(list->items.size()) >= most) {
      runtime.fail(fmt::format("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).", most));
    }
    list->items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  runtime.values(list->items.size());
  return {ListPtr(std::move(list))};
}

// dict(mapping or pairs, key=value, ...)
Dict make_dict(Runtime& runtime, const Args& args) {
  if (args.positional.size() > 1) runtime.fail("dict expected at most 1 argument");
  Dict dict;
  if (!args.positional.empty()) {
    const Value& from = args.positional[0];
    runtime.defined(from);
    if (from.is(Kind::kDict)) {
      dict = from.dict();
    } else {
      for (const Value& item : runtime.iterate(from)) {
        const std::vector<Value> pair = runtime.iterate(item);
        if (pair.size() != 2) runtime.fail("dict takes pairs");
        if (!pair[0].is_string()) runtime.step(static_cast<int64_t>(dict.size()));
        if (!hashable(pair[0])) runtime.fail(fmt::format("unhashable type: '{}'", type_name(pair[0])));
        dict.set(pair[0], pair[1]);
      }
    }
  }
  for (const auto& [key, value] : args.named) dict.set(Value::string(key), value);
  return dict;
}

Value dict_function(Runtime& runtime, Args& args) { return runtime.dict(make_dict(runtime, args)); }

Value namespace_function(Runtime& runtime, Args& args) {
  auto made = std::make_shared<Namespace>();
  made->values = make_dict(runtime, args);
  for (const auto& [key, value] : made->values.items()) {
    if (key.is_string() && key.bytes().starts_with('_')) {
      runtime.fail("a namespace can not have attributes that begin with an underscore");
    }
  }
  runtime.values(2 * made->values.size() + 4);
  runtime.keep(made);
  return {std::move(made)};
}

Value raise_exception(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "raise_exception", {"message"}, 1);
  runtime.fail(runtime.str(bound[0])->bytes);
}

Value strftime_now(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "strftime_now", {"format"}, 1);
  const std::string& format = runtime.string(bound[0], "strftime_now's format").bytes;
  if (format.size() > 1024) runtime.fail("strftime_now's format is too long");
  const std::time_t seconds = std::chrono::system_clock::to_time_t(runtime.now);
  std::tm local{};
  localtime_r(&seconds, &local);
  // Python's %f; strftime does not know it. The rest is the C library's, as in Python.
  std::string known;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] == '%' && i + 1 < format.size() && format[i + 1] == 'f') {
      const auto fraction = std::chrono::duration_cast<std::chrono::microseconds>(
          runtime.now - std::chrono::floor<std::chrono::seconds>(runtime.now));
      known += fmt::format("{:06}", fraction.count());
      ++i;
      continue;
    }
    known += format[i];
    if (format[i] == '%' && i + 1 < format.size()) known += format[++i];
  }
  if (known.empty()) return Value::string("");
  std::string out(known.size() * 64 + 64, '\0');
  out.resize(std::strftime(out.data(), out.size(), known.c_str(), &local));
  return Value::string(out);
}

// joiner(sep): nothing the first time, `sep` ever after.
Value joiner(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "joiner", {"sep"}, 0);
  auto made = std::make_shared<Callable>();
  made->name = "joiner";
  made->depth = bound.get(0, None{}).depth();
  made->call = [separator = bound.get(0, Value::string(", ")), used = std::make_shared<bool>(false)](
                   Runtime&, Args&) { return std::exchange(*used, true) ? separator : Value::string(""); };
  return {std::shared_ptr<const Callable>(std::move(made))};
}

struct Entry {
  std::string_view name;
  Function function;
};
constexpr Entry kGlobals[] = {
    {"range", range},
    {"dict", dict_function},
    {"namespace", namespace_function},
    {"raise_exception", raise_exception},
    {"strftime_now", strftime_now},
    {"joiner", joiner},
};

}  // namespace

Value find_global(std::string_view name) {
  for (const Entry& entry : kGlobals) {
    if (entry.name != name) continue;
    auto made = std::make_shared<Callable>();
    made->name = name;
    made->call = entry.function;
    return {std::shared_ptr<const Callable>(std::move(made))};
  }
  return {Undefined{}};
}

}  // namespace pegainfer::jinja
