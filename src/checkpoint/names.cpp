#include "checkpoint/names.h"

#include "base/json.h"
#include "base/utf8.h"

namespace pegainfer {

std::string_view name_fault(std::string_view name, size_t max_bytes) {
  if (name.empty()) return "is empty";
  if (name.size() > max_bytes) return "is too long";
  if (!utf8::valid(name)) return "is not valid UTF-8";
  for (size_t i = 0; i < name.size(); ++i) {
    const auto byte = static_cast<unsigned char>(name[i]);
    // U+0080 to U+009F steer terminals as well as the ASCII ones do.
    const bool c1 = byte == 0xc2 && static_cast<unsigned char>(name[i + 1]) < 0xa0;
    if (byte < 0x20 || byte == 0x7f || c1) return "contains control characters";
  }
  return "";
}

std::string quote_name(std::string_view name) {
  constexpr size_t kShown = 80;
  if (name.size() <= kShown) return json::quote(name);
  return json::quote(utf8::sanitize(name.substr(0, kShown)) + "...");
}

bool is_plain_file_name(std::string_view name) {
  if (name.empty() || name.size() > 255 || name == "." || name == "..") return false;
  return name_fault(name, 255).empty() && name.find('/') == std::string_view::npos &&
         name.find('\\') == std::string_view::npos;
}

}  // namespace pegainfer
