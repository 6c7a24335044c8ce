#include "server/http/api_keys.h"

#include <gtest/gtest.h>

namespace pegainfer::http {
namespace {

Request with(std::string name, std::string value) {
  Request request;
  request.headers.push_back({std::move(name), std::move(value)});
  return request;
}

ApiKeys make() {
  return *ApiKeys::create({{"alice", "key-a"}, {"bob", "key-b"}, {"alice", "key-a-old"}},
                          {{"root", "key-r"}});
}

int status(const ApiKeys& keys, const Request& request, const Route* route) {
  const auto refused = keys.refuse(keys.identify(request), route);
  return refused ? refused->status : 200;
}

const Route kOpen{"GET", "/livez", nullptr, Access::kOpen};
const Route kKey{"GET", "/metrics", nullptr};
const Route kAdmin{"POST", "/reset", nullptr, Access::kAdmin};

TEST(ApiKeys, WhoIsWho) {
  const ApiKeys keys = make();
  EXPECT_EQ(keys.identify(with("authorization", "Bearer key-a")).name, "alice");
  EXPECT_EQ(keys.identify(with("authorization", "bearer key-a-old")).name, "alice");
  EXPECT_EQ(keys.identify(with("x-api-key", "key-b")).name, "bob");
  EXPECT_EQ(keys.identify(with("authorization", "Bearer key-r")).role, ApiKeys::Role::kAdmin);
  for (const char* wrong : {"Bearer key-", "Bearer key-a ", "Bearer key-ab", "Bearer", "Bearer ", "key-a",
                            "Basic key-a", "Bearerkey-a"}) {
    const auto client = keys.identify(with("authorization", wrong));
    EXPECT_EQ(client.role, ApiKeys::Role::kNobody) << wrong;
    EXPECT_EQ(client.name, "") << wrong;
  }
  EXPECT_FALSE(keys.identify(Request{}).sent_key);
  EXPECT_TRUE(keys.several_clients());
}

TEST(ApiKeys, WhoMayDoWhat) {
  const ApiKeys keys = make();
  const Request nobody;
  const Request wrong = with("x-api-key", "key-x");
  const Request alice = with("x-api-key", "key-a");
  const Request root = with("x-api-key", "key-r");
  for (const Request* request : {&nobody, &wrong, &alice, &root})
    EXPECT_EQ(status(keys, *request, &kOpen), 200);
  for (const Route* route : {&kKey, static_cast<const Route*>(nullptr)}) {
    EXPECT_EQ(status(keys, nobody, route), 401);
    EXPECT_EQ(status(keys, wrong, route), 401);
    EXPECT_EQ(status(keys, alice, route), 200);
    EXPECT_EQ(status(keys, root, route), 200);
  }
  EXPECT_EQ(status(keys, nobody, &kAdmin), 401);
  EXPECT_EQ(status(keys, alice, &kAdmin), 403);
  EXPECT_EQ(status(keys, root, &kAdmin), 200);
}

TEST(ApiKeys, WithoutKeysEverythingIsOpen) {
  const ApiKeys keys;
  for (const Route* route : {&kOpen, &kKey, &kAdmin}) EXPECT_EQ(status(keys, Request{}, route), 200);
  EXPECT_FALSE(keys.several_clients());
}

TEST(ApiKeys, AnAdministratorsKeyAloneGuardsWhatChangesTheServer) {
  const ApiKeys keys = *ApiKeys::create({}, {{"root", "key-r"}});
  EXPECT_TRUE(keys.any());
  EXPECT_FALSE(keys.needs_key());
  EXPECT_EQ(status(keys, Request{}, &kKey), 200);
  EXPECT_EQ(status(keys, Request{}, &kAdmin), 401);
  EXPECT_EQ(status(keys, with("x-api-key", "key-r"), &kAdmin), 200);
}

TEST(ApiKeys, WithoutAnAdministratorNobodyChangesTheServer) {
  const ApiKeys keys = *ApiKeys::create({{"alice", "key-a"}}, {});
  EXPECT_TRUE(keys.needs_key());
  EXPECT_EQ(status(keys, with("x-api-key", "key-a"), &kAdmin), 403);
  EXPECT_FALSE(keys.several_clients());
}

TEST(ApiKeys, KeysThatCannotBe) {
  for (const std::string& bad : {std::string(), std::string("a b"), std::string("tab\t"),
                                 std::string("\xc3\xa9"), std::string(4097, 'a')}) {
    const auto made = ApiKeys::create({{"name", bad}}, {});
    ASSERT_FALSE(made) << bad.size();
    if (!bad.empty()) {
      EXPECT_EQ(made.error().message.find(bad), std::string::npos);
    }
  }
  EXPECT_FALSE(ApiKeys::create({{"a", "same"}}, {{"b", "same"}}));
  EXPECT_TRUE(ApiKeys::create({{"a", std::string(4096, 'a')}}, {}));
}

}  // namespace
}  // namespace pegainfer::http
