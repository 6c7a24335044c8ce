#include "server/http/admission.h"

#include <gtest/gtest.h>

namespace pegainfer::http {
namespace {

Router make_router() {
  return Router({{"POST", "/v1/completions", nullptr},
                 {"GET", "/v1/models", nullptr},
                 {"GET", "/v1/models/{id}", nullptr}});
}

TEST(Router, PathsAreComparedByteByByte) {
  const Router router = make_router();
  EXPECT_NE(router.match("POST", "/v1/completions").route, nullptr);
  for (const char* path : {"/v1/completions/", "//v1/completions", "/v1/./completions", "/v1/%63ompletions",
                           "/V1/completions", "/v1/../v1/completions", "", "*"}) {
    EXPECT_EQ(router.match("POST", path).route, nullptr) << path;
    EXPECT_EQ(router.match("POST", path).allow, "") << path;
  }
}

TEST(Router, TailIsDecodedAndMayHoldSlashes) {
  const Router router = make_router();
  EXPECT_EQ(router.match("GET", "/v1/models/org/name").path_tail, "org/name");
  EXPECT_EQ(router.match("GET", "/v1/models/org%2Fname%zz%4").path_tail, "org/name%zz%4");
  EXPECT_EQ(router.match("GET", "/v1/models/").route, nullptr);
}

TEST(Router, MethodsOfAPath) {
  const Router router = make_router();
  EXPECT_NE(router.match("HEAD", "/v1/models").route, nullptr);
  EXPECT_EQ(router.match("POST", "/v1/models").route, nullptr);
  EXPECT_EQ(router.match("POST", "/v1/models").allow, "GET, HEAD, OPTIONS");
  EXPECT_EQ(router.match("GET", "/v1/completions").allow, "POST, OPTIONS");
}

TEST(HostRule, LoopbackNamesAndTheListedOnes) {
  const HostRule rule = HostRule::loopback({"box.example"});
  for (const char* host : {"localhost", "localhost:8000", "LocalHost", "127.0.0.1", "127.0.0.1:1",
                           "127.8.9.10", "[::1]", "[::1]:8000", "box.example", "BOX.example:80"})
    EXPECT_TRUE(rule.allows(host)) << host;
  for (const char* host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", ":8000",
                           "10.0.0.1", "[::2]", "xbox.example"})
    EXPECT_FALSE(rule.allows(host)) << host;
  EXPECT_TRUE(HostRule{}.allows("anything.example"));
}

TEST(RequestId, OnlyHarmlessOnesAreTaken) {
  Request request;
  EXPECT_EQ(safe_request_id(request), "");
  const auto taken = [&](std::string value) {
    request.headers = {{"x-request-id", std::move(value)}};
    return std::string(safe_request_id(request));
  };
  EXPECT_EQ(taken("Ab.9_-z"), "Ab.9_-z");
  EXPECT_EQ(taken(std::string(128, 'a')), std::string(128, 'a'));
  for (const std::string& bad :
       {std::string(), std::string(129, 'a'), std::string("a b"), std::string("a\tb"), std::string("%0D%0A"),
        std::string("<b>"), std::string("\xc3\xa9")})
    EXPECT_EQ(taken(bad), "") << bad;
}

}  // namespace
}  // namespace pegainfer::http
