#include "server/http/api_keys.h"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <optional>
#include <set>

#include "server/http/header_check.h"

namespace pegainfer::http {
namespace {

constexpr size_t kMaxKey = 4096;

bool is_visible(char c) { return c > 0x20 && c < 0x7f; }

std::array<unsigned char, SHA256_DIGEST_LENGTH> digest_of(std::string_view key) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  return digest;
}

// The key that a request brings: OpenAI's header, or Anthropic's. Nothing: it brings none.
std::optional<std::string_view> key_of(const Request& request) {
  constexpr std::string_view kBearer = "bearer";
  if (const std::string* authorization = request.header("authorization")) {
    std::string_view value = *authorization;
    const std::string_view scheme = value.substr(0, value.find(' '));
    if (!equals_ignoring_case(scheme, kBearer)) return std::nullopt;
    value.remove_prefix(scheme.size());
    while (value.starts_with(' ')) value.remove_prefix(1);
    return value;
  }
  if (const std::string* key = request.header("x-api-key")) return std::string_view(*key);
  return std::nullopt;
}

}  // namespace

Status ApiKeys::add(const std::vector<NamedKey>& keys, Role role) {
  for (const NamedKey& named : keys) {
    if (named.key.empty() || named.key.size() > kMaxKey || !std::ranges::all_of(named.key, is_visible))
      return invalid_argument(
          fmt::format("the API key {} must have 1 to {} visible ASCII characters", named.name, kMaxKey),
          "api-key");
    const Digest digest = digest_of(named.key);
    if (std::ranges::any_of(keys_, [&](const Known& k) { return k.digest == digest; }))
      return invalid_argument(
          fmt::format("the API key {} is given twice; each must be one client's, and an administrator's key "
                      "nobody else's",
                      named.name),
          "api-key");
    keys_.push_back({digest, named.name, role});
  }
  return ok_status();
}

Result<ApiKeys> ApiKeys::create(const std::vector<NamedKey>& keys, const std::vector<NamedKey>& admin_keys) {
  ApiKeys made;
  RETURN_IF_ERROR(made.add(keys, Role::kClient));
  RETURN_IF_ERROR(made.add(admin_keys, Role::kAdmin));
  made.needs_key_ = !keys.empty();
  std::set<std::string_view> names;
  for (const Known& k : made.keys_) names.insert(k.name);
  made.several_clients_ = names.size() > 1;
  return made;
}

ApiKeys::Client ApiKeys::identify(const Request& request) const {
  if (keys_.empty()) return {.role = Role::kAdmin};
  const auto key = key_of(request);
  const Digest digest = digest_of(key.value_or(""));
  const Known* found = nullptr;
  for (const Known& known : keys_)
    if (CRYPTO_memcmp(digest.data(), known.digest.data(), digest.size()) == 0) found = &known;
  if (found == nullptr || !key) return {.sent_key = key.has_value()};
  return {.role = found->role, .name = found->name, .sent_key = true};
}

std::optional<Response> ApiKeys::refuse(const Client& client, const Route* route) const {
  const Access access = route == nullptr ? Access::kKey : route->access;
  if (access == Access::kOpen || client.role == Role::kAdmin) return std::nullopt;
  const bool enough = access == Access::kKey && (client.role == Role::kClient || !needs_key_);
  if (enough) return std::nullopt;
  if (client.role == Role::kClient)
    return error_response(403, {.message = "this changes the state of the server: it needs the key of "
                                           "--admin-api-key",
                                .type = "permission_error",
                                .code = "admin_key_required"});
  Response response =
      client.sent_key
          ? error_response(401, {.message = "this API key is not known here",
                                 .type = "authentication_error",
                                 .code = "invalid_api_key"})
          : error_response(401, {.message = "there is no API key; send it as \"Authorization: Bearer KEY\"",
                                 .type = "authentication_error",
                                 .code = "missing_api_key"});
  response.headers.push_back({"www-authenticate", client.sent_key
                                                      ? R"(Bearer realm="pegainfer", error="invalid_token")"
                                                      : R"(Bearer realm="pegainfer")"});
  return response;
}

}  // namespace pegainfer::http
