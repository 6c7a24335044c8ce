// Flags of `serve` that decide who may reach the server, and how.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pegainfer/result.h"
#include "server/http/options.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pegainfer::apps {

struct SecurityFlags {
  std::vector<std::string> api_keys;
  std::vector<std::string> api_key_files;
  std::vector<std::string> admin_api_keys;
  std::string certificate;
  std::string certificate_key;
  std::vector<std::string> allowed_origins;
  std::vector<std::string> allowed_methods;
  std::vector<std::string> allowed_headers;
  double header_seconds = 10;
  double body_seconds = 30;
  double idle_seconds = 75;
};

void add_security_flags(CLI::App& command, SecurityFlags& flags, http::Options& http);

// Reads the key files and fills in what is not set by the flags themselves. Errors name the flag, and no key.
Status apply_security_flags(const SecurityFlags& flags, http::Options& http);

// '["a","b"]' as vLLM takes lists, "a,b", or "a".
Result<std::vector<std::string>> parse_list(const std::string& text, const std::string& flag);

// One key a line, or name:key (the name "" where there is none); empty lines and those that start with # are
// skipped.
Result<std::vector<http::NamedKey>> read_key_file(const std::string& path);

}  // namespace pegainfer::apps
