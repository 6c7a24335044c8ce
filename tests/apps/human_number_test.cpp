#include "apps/human_number.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/exit_code.h"

namespace pegainfer::apps {
namespace {

TEST(HumanNumber, SmallLettersAreDecimalCapitalsBinary) {
  const std::vector<std::pair<const char*, int64_t>> cases = {{"4096", 4096},
                                                              {"0", 0},
                                                              {"32k", 32'000},
                                                              {"32K", 32'768},
                                                              {"1.5k", 1'500},
                                                              {"2m", 2'000'000},
                                                              {"2M", 2 << 20},
                                                              {"1.5G", 1'610'612'736},
                                                              {"1g", 1'000'000'000},
                                                              {"1T", 1LL << 40U},
                                                              {"1t", 1'000'000'000'000},
                                                              {"-1", -1},
                                                              {"80GiB", 80LL << 30U},
                                                              {"80GB", 80'000'000'000},
                                                              {"1.5MiB", 3 << 19},
                                                              {"2kB", 2'000}};
  for (const auto& [text, expected] : cases) {
    const auto number = parse_human_number(text, "--flag");
    ASSERT_TRUE(number) << text;
    EXPECT_EQ(*number, expected) << text;
  }
}

TEST(HumanNumber, AnythingElseIsAnErrorThatNamesTheFlag) {
  for (const char* text : {"", "k", "1.5", "1kk", "1x", "1giB", "1B", "1gB", "1Gi", "1KiBs", " 1", "1 ",
                           "0x10", "1e3", "nan", "inf", "99999999999999999999"}) {
    const auto number = parse_human_number(text, "--max-model-len");
    ASSERT_FALSE(number) << text;
    EXPECT_THAT(number.error().message, ::testing::HasSubstr("--max-model-len")) << text;
  }
}

TEST(ExitCode, OfEachKindOfError) {
  EXPECT_EQ(exit_code(invalid_argument("")), 2);
  EXPECT_EQ(exit_code(not_found("")), 2);
  EXPECT_EQ(exit_code(unsupported("")), 2);
  EXPECT_EQ(exit_code(resource_exhausted("")), 3);
  EXPECT_EQ(exit_code(io_error("")), 4);
  EXPECT_EQ(exit_code(internal_error("")), 70);
}

}  // namespace
}  // namespace pegainfer::apps
