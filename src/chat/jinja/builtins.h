// The tables of what the language brings along. Filters, tests and methods get the value they work on as
// their first positional argument.
#pragma once

#include <string_view>

#include "chat/jinja/runtime.h"

namespace pegainfer::jinja {

Function find_filter(std::string_view name);  // null: there is none
Function find_test(std::string_view name);
Function find_string_method(std::string_view name);
Function find_list_method(std::string_view name, Flavor flavor);
Function find_dict_method(std::string_view name);
// range, dict, namespace, raise_exception, ...; undefined: there is none.
Value find_global(std::string_view name);

// The tables behind find_filter.
Function find_text_filter(std::string_view name);
Function find_list_filter(std::string_view name);
Function find_value_filter(std::string_view name);

// obj.name and obj[key], with the sandbox's rules: what does not exist or is not safe is undefined.
Value get_attribute(Runtime& runtime, const Value& object, const std::shared_ptr<const std::string>& name);
Value get_item(Runtime& runtime, const Value& object, const Value& key);
// The method `name` of a value; null: none. `forbidden`: it would change the value.
Function find_method(const Value& object, std::string_view name, bool* forbidden);

}  // namespace pegainfer::jinja
