// Who may ask for what: API keys, looked at before routing. What no rule opens needs a key.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pegainfer/result.h"
#include "server/http/message.h"
#include "server/http/router.h"

namespace pegainfer::http {

// A key as it was configured. Two with one name belong to one client, as while it changes its key.
struct NamedKey {
  std::string name;
  std::string key;
};

class ApiKeys {
 public:
  ApiKeys() = default;  // none: everybody may do everything
  // Keys of 1 to 4,096 visible ASCII characters; the error never shows one.
  static Result<ApiKeys> create(const std::vector<NamedKey>& keys, const std::vector<NamedKey>& admin_keys);

  enum class Role : uint8_t { kNobody, kClient, kAdmin };
  struct Client {
    Role role = Role::kNobody;
    std::string_view name;  // of the key
    bool sent_key = false;  // one that is not known, when the role is kNobody
  };
  // Every known key is compared with, by digest and in constant time, whatever the request brings: the time
  // says nothing about the keys.
  [[nodiscard]] Client identify(const Request& request) const;

  // The answer to a client that may not have this: 401 or 403. Nothing: it may. A null route is an unknown
  // path or method; whether it exists is told to nobody without a key.
  [[nodiscard]] std::optional<Response> refuse(const Client& client, const Route* route) const;

  [[nodiscard]] bool any() const { return !keys_.empty(); }
  // Whether what is not an administrator's needs a key, too: an administrator's key alone leaves it open.
  [[nodiscard]] bool needs_key() const { return needs_key_; }
  // Clients by name are kept apart (their caches, their places): there is more than one.
  [[nodiscard]] bool several_clients() const { return several_clients_; }

 private:
  using Digest = std::array<unsigned char, 32>;  // SHA-256
  struct Known {
    Digest digest;
    std::string name;
    Role role;
  };
  Status add(const std::vector<NamedKey>& keys, Role role);

  std::vector<Known> keys_;
  bool needs_key_ = false;  // for what is not an administrator's
  bool several_clients_ = false;
};

}  // namespace pegainfer::http
