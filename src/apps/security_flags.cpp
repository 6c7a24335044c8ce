#include "apps/security_flags.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <utility>

#include "base/environment.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

namespace pegainfer::apps {
namespace {

constexpr const char* kSecurityGroup = "Security";
constexpr const char* kLimitsGroup = "Limits";
constexpr size_t kMaxKeyFile = 1U << 20U;
constexpr double kMaxSeconds = 86400;

std::string_view trim(std::string_view s) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t begin = s.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return s.substr(begin, s.find_last_not_of(kSpace) + 1 - begin);
}

bool is_name(std::string_view name) {
  constexpr size_t kMaxName = 64;
  const auto is_name_char = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, is_name_char);
}

// A file that anybody may write gives anybody a key. One that anybody may read is usual for secrets that are
// mounted into containers.
Status check_mode(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return ok_status();  // reading it says why
  if ((found.st_mode & S_IWOTH) != 0)
    return invalid_argument(fmt::format("--api-key-file {}: everybody may write it; chmod 600 it", path),
                            "api-key-file");
  if ((found.st_mode & S_IROTH) != 0)
    LOG_WARN("--api-key-file {}: every user of this machine may read the keys; chmod 600 it", path);
  return ok_status();
}

std::vector<http::NamedKey> unnamed(const std::vector<std::string>& keys) {
  std::vector<http::NamedKey> made;
  made.reserve(keys.size());
  for (const std::string& key : keys) made.push_back({"", key});
  return made;
}

// Keys without a name are each a client's own; the sign is in no name that a file can give.
void number(std::vector<http::NamedKey>& keys, std::string_view prefix) {
  for (size_t i = 0; i < keys.size(); ++i)
    if (keys[i].name.empty()) keys[i].name = fmt::format("{}#{}", prefix, i + 1);
}

Result<http::ApiKeys> collect_keys(const SecurityFlags& flags) {
  std::vector<http::NamedKey> keys = unnamed(flags.api_keys);
  if (keys.empty()) {
    for (const char* variable : {"PEGAINFER_API_KEY", "VLLM_API_KEY"}) {
      const auto key = environment(variable);
      if (key && keys.empty()) keys.push_back({"", *key});
    }
  }
  for (const std::string& path : flags.api_key_files) {
    ASSIGN_OR_RETURN(std::vector<http::NamedKey> more, read_key_file(path));
    std::ranges::move(more, std::back_inserter(keys));
  }
  std::vector<http::NamedKey> admins = unnamed(flags.admin_api_keys);
  if (const auto key = environment("PEGAINFER_ADMIN_API_KEY"); key && admins.empty())
    admins.push_back({"", *key});
  number(keys, "key");
  number(admins, "admin");
  return http::ApiKeys::create(keys, admins);
}

Result<std::vector<std::string>> parse_lists(const std::vector<std::string>& texts, const std::string& flag) {
  std::vector<std::string> all;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(std::vector<std::string> some, parse_list(text, flag));
    std::ranges::move(some, std::back_inserter(all));
  }
  return all;
}

// What goes into a header must be able to stand there.
Result<std::vector<std::string>> header_words(const std::vector<std::string>& texts,
                                              const std::string& flag) {
  ASSIGN_OR_RETURN(std::vector<std::string> words, parse_lists(texts, flag));
  for (const std::string& word : words) {
    const auto is_visible = [](char c) { return c > 0x20 && c < 0x7f && c != ',' && c != '"'; };
    if (word.empty() || !std::ranges::all_of(word, is_visible))
      return invalid_argument(
          fmt::format("{}: {} is no word of visible ASCII characters", flag, json::quote(word)),
          flag.substr(2));
  }
  return words;
}

Result<http::CorsOptions> cors_options(const SecurityFlags& flags) {
  http::CorsOptions cors;
  ASSIGN_OR_RETURN(cors.origins, header_words(flags.allowed_origins, "--allowed-origins"));
  for (const std::string& origin : cors.origins) {
    const size_t scheme = origin.find("://");
    const bool exact =
        scheme != std::string::npos && scheme > 0 && origin.find('/', scheme + 3) == std::string::npos;
    if (!exact && origin != "*" && origin != "null")
      return invalid_argument(fmt::format("--allowed-origins: {} is no origin; it must be as "
                                          "https://app.example:8443, without a path, or *",
                                          json::quote(origin)),
                              "allowed-origins");
  }
  if (!flags.allowed_methods.empty()) {
    ASSIGN_OR_RETURN(cors.methods, header_words(flags.allowed_methods, "--allowed-methods"));
  }
  if (!flags.allowed_headers.empty()) {
    ASSIGN_OR_RETURN(cors.headers, header_words(flags.allowed_headers, "--allowed-headers"));
  }
  return cors;
}

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

void add_timeout(CLI::App& command, const std::string& name, double& seconds, const std::string& help) {
  command.add_option(name, seconds, help)
      ->check(CLI::Range(0.1, kMaxSeconds))
      ->capture_default_str()
      ->group(kLimitsGroup);
}

void add_key_flags(CLI::App& command, SecurityFlags& flags, http::Options& http) {
  command
      .add_option(
          "--api-key", flags.api_keys,
          "A key that requests must bring; may be given several times; default: $PEGAINFER_API_KEY or "
          "$VLLM_API_KEY, which other users cannot read off the command line")
      ->allow_extra_args(false)
      ->group(kSecurityGroup);
  command
      .add_option("--api-key-file", flags.api_key_files,
                  "A file of such keys, one a line, also as name:key; those of one name are one client's")
      ->allow_extra_args(false)
      ->group(kSecurityGroup);
  command
      .add_option("--admin-api-key", flags.admin_api_keys,
                  "A key for everything, also for what changes the server's state (/reset_prefix_cache, "
                  "/flush_cache, /start_profile, /stop_profile), which no other key is enough for")
      ->allow_extra_args(false)
      ->group(kSecurityGroup);
  command
      .add_option(
          "--public-path", http.public_paths,
          "An endpoint that answers GET without a key, as /health or /metrics; /livez and /readyz always do")
      ->allow_extra_args(false)
      ->group(kSecurityGroup);
  command
      .add_option("--max-requests-per-key", http.limits.max_requests_per_client,
                  "POST requests under way at a time for one API key, 429 above; 0: no limit")
      ->capture_default_str()
      ->group(kLimitsGroup);
}

void add_browser_flags(CLI::App& command, SecurityFlags& flags) {
  command
      .add_option(
          "--allowed-origins", flags.allowed_origins,
          "Web sites whose pages may use the server, as https://app.example, a JSON list of them, or *")
      ->allow_extra_args(false)
      ->group(kSecurityGroup);
  command.add_option("--allowed-methods", flags.allowed_methods, "Methods that they may use; default: all")
      ->allow_extra_args(false)
      ->group(kSecurityGroup);
  command.add_option("--allowed-headers", flags.allowed_headers, "Headers that they may send; default: all")
      ->allow_extra_args(false)
      ->group(kSecurityGroup);
}

}  // namespace

void add_security_flags(CLI::App& command, SecurityFlags& flags, http::Options& http) {
  add_key_flags(command, flags, http);
  command
      .add_option("--ssl-certfile,--ssl-cert-file", flags.certificate,
                  "Certificate chain in PEM: speak TLS only; SIGHUP reads it again")
      ->group(kSecurityGroup);
  command
      .add_option("--ssl-keyfile,--ssl-key-file", flags.certificate_key,
                  "Its private key in PEM, without a password; default: in the same file")
      ->group(kSecurityGroup);
  command
      .add_option("--uds", http.uds,
                  "Listen on a Unix socket of this path, for this user and group, in place of a port")
      ->group(kSecurityGroup);
  add_browser_flags(command, flags);
  add_timeout(command, "--header-timeout", flags.header_seconds,
              "Seconds from a connection's first byte to the end of a request's headers; 408 after");
  add_timeout(command, "--body-timeout", flags.body_seconds,
              "Seconds that a request's body may take to arrive; 408 after");
  add_timeout(command, "--idle-timeout,--timeout-keep-alive", flags.idle_seconds,
              "Seconds without a request, until a connection is closed");
  http::Limits& limits = http.limits;
  command
      .add_option("--max-header-bytes,--h11-max-incomplete-event-size", limits.max_header_bytes,
                  "All headers of a request; 431 above")
      ->check(CLI::Range(1024, 1 << 20))
      ->capture_default_str()
      ->group(kLimitsGroup);
  command
      .add_option("--max-headers,--h11-max-header-count", limits.max_headers,
                  "Headers of a request; 431 above")
      ->check(CLI::Range(8, 4096))
      ->capture_default_str()
      ->group(kLimitsGroup);
}

Status apply_security_flags(const SecurityFlags& flags, http::Options& http) {
  ASSIGN_OR_RETURN(http.keys, collect_keys(flags));
  if (http.limits.max_requests_per_client > 0 && !http.keys.needs_key())
    return invalid_argument(
        "--max-requests-per-key counts by API key, and clients need none: give --api-key-file or --api-key",
        "max-requests-per-key");
  if (!flags.certificate_key.empty() && flags.certificate.empty())
    return invalid_argument("--ssl-keyfile needs --ssl-certfile", "ssl-keyfile");
  if (!flags.certificate.empty())
    http.tls = http::TlsFiles{.certificate = flags.certificate, .key = flags.certificate_key};
  ASSIGN_OR_RETURN(http.cors, cors_options(flags));
  http.timeouts.header = milliseconds(flags.header_seconds);
  http.timeouts.body = milliseconds(flags.body_seconds);
  http.timeouts.idle = milliseconds(flags.idle_seconds);
  return ok_status();
}

Result<std::vector<std::string>> parse_list(const std::string& text, const std::string& flag) {
  std::vector<std::string> words;
  const auto bad = [&] {
    return invalid_argument(
        fmt::format("{}: {} is neither a JSON list of strings nor a list by commas", flag, json::quote(text)),
        flag.substr(2));
  };
  if (trim(text).starts_with('[')) {
    const auto parsed = json::parse(text);
    if (!parsed || !parsed->is_array()) return bad();
    for (const json::Value& element : parsed->get_array()) {
      if (!element.is_string()) return bad();
      words.emplace_back(element.get_string());
    }
    return words;
  }
  std::string_view rest = text;
  while (true) {
    const size_t comma = rest.find(',');
    const std::string_view word = trim(rest.substr(0, comma));
    if (word.empty()) return bad();
    words.emplace_back(word);
    if (comma == std::string_view::npos) return words;
    rest.remove_prefix(comma + 1);
  }
}

Result<std::vector<http::NamedKey>> read_key_file(const std::string& path) {
  RETURN_IF_ERROR(check_mode(path));
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path, kMaxKeyFile));
  std::vector<http::NamedKey> keys;
  std::string_view rest = text;
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trim(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty() || line.starts_with('#')) continue;
    const size_t colon = line.find(':');
    const bool named = colon != std::string_view::npos && is_name(line.substr(0, colon));
    const std::string_view key = named ? line.substr(colon + 1) : line;
    if (key.empty())
      return invalid_argument(fmt::format("--api-key-file {} line {}: there is no key", path, number),
                              "api-key-file");
    keys.push_back({std::string(named ? line.substr(0, colon) : ""), std::string(key)});
  }
  if (keys.empty())
    return invalid_argument(fmt::format("--api-key-file {}: there is no key in it", path), "api-key-file");
  return keys;
}

}  // namespace pegainfer::apps
