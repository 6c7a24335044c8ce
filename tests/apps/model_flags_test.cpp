// The flags of models and engines: names, aliases, and what is asked for when they are not given.
#include "apps/model_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace pegainfer::apps {
namespace {

using ::testing::HasSubstr;

struct Parsed {
  std::optional<EngineOptions> options;
  std::string error;
};

Parsed parse(std::vector<std::string> arguments) {
  CLI::App app;
  ModelFlags flags;
  add_model_flags(app, flags);
  arguments.insert(arguments.begin(), {"--model", "m", "--log-level", "info"});
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& e) {
    return {.error = e.what()};
  }
  const Result<EngineOptions> options = to_engine_options(flags);
  if (!options) return {.error = options.error().message};
  return {.options = *options};
}

TEST(ModelFlags, QueueCacheAndOverlapUnlessGiven) {
  const Parsed p = parse({});
  ASSERT_TRUE(p.options) << p.error;
  EXPECT_EQ(p.options->max_queued_requests, 4096);
  EXPECT_EQ(p.options->max_queued_tokens, 0);
  EXPECT_TRUE(p.options->enable_prefix_caching);
  EXPECT_FALSE(p.options->async_scheduling.has_value());
  EXPECT_EQ(p.options->block_size, 16);
}

TEST(ModelFlags, TheNamesOfOtherServersAreAliases) {
  for (const char* name : {"--max-queued-requests", "--max-num-queued-reqs"})
    EXPECT_EQ(parse({name, "7"}).options.value().max_queued_requests, 7) << name;
  for (const char* name : {"--max-queued-tokens", "--max-num-queued-tokens"})
    EXPECT_EQ(parse({name, "5000000000"}).options.value().max_queued_tokens, 5'000'000'000) << name;
  EXPECT_TRUE(parse({"--enable-prefix-caching"}).options.value().enable_prefix_caching);
  for (const char* name : {"--no-enable-prefix-caching", "--disable-radix-cache"})
    EXPECT_FALSE(parse({name}).options.value().enable_prefix_caching) << name;
  EXPECT_EQ(parse({"--async-scheduling"}).options.value().async_scheduling, true);
  EXPECT_EQ(parse({"--no-async-scheduling"}).options.value().async_scheduling, false);
}

TEST(ModelFlags, NumbersOutOfRangeAreRefused) {
  EXPECT_THAT(parse({"--max-queued-requests", "-1"}).error, HasSubstr("--max-queued-requests"));
  EXPECT_THAT(parse({"--max-queued-tokens", "-1"}).error, HasSubstr("--max-queued-tokens"));
  EXPECT_THAT(parse({"--block-size", "0"}).error, HasSubstr("--block-size"));
  EXPECT_THAT(parse({"--block-size", "2048"}).error, HasSubstr("--block-size"));
  EXPECT_THAT(parse({"--kv-cache-memory-bytes", "lots"}).error, HasSubstr("--kv-cache-memory-bytes"));
}

TEST(ModelFlags, SizesAreReadAsPeopleWriteThem) {
  EXPECT_EQ(parse({"--kv-cache-memory-bytes", "2G"}).options.value().kv_cache_memory_bytes, size_t{2} << 30U);
  EXPECT_EQ(parse({"--max-model-len", "4K"}).options.value().max_model_len, 4096);
  EXPECT_EQ(parse({"--max-model-len", "auto"}).options.value().max_model_len, 0);
  EXPECT_EQ(parse({"--gpu-memory-utilization", "0.25"}).options.value().gpu_memory_utilization, 0.25);
}

}  // namespace
}  // namespace pegainfer::apps
