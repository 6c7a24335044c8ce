// What flags/ adds to CLI11: spellings, the environment, configuration files, completions and the manual
// page, over a small tree.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "apps/flags/arguments.h"
#include "apps/flags/command_line.h"
#include "apps/flags/completion.h"
#include "apps/flags/config_file.h"
#include "apps/flags/foreign_flags.h"
#include "apps/flags/help.h"
#include "apps/flags/man_page.h"
#include "apps/flags/option_tree.h"

namespace pegainfer::apps::flags {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Words = std::vector<std::string>;

// A tree as the real one: two levels, positions, lists, flags with a negative form.
struct Program {
  Program() {
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    app.require_subcommand(1);
    app.footer("Exit codes: 0 done");
    serve = app.add_subcommand("serve", "Serve a model");
    serve->add_option("MODEL,-m,--model", model, "The model")->required()->group("Model");
    serve->add_option("-c,--max-model-len,--context-length", length, "Longest: tokens")
        ->capture_default_str();
    serve->add_option("--max-num-seqs", seqs, "At a time")->check(CLI::Range(0, 64))->capture_default_str();
    serve->add_option("--api-key", keys, "A key");
    serve->add_option("--log-format", format, "text or json")->capture_default_str();
    serve->add_flag("--enable-prefix-caching,!--no-enable-prefix-caching", caching, "Keep it")
        ->default_str("true");
    serve->add_flag("--check", check, "For developers")->group("");
    serve->callback([this] { ++ran; });
    bench = app.add_subcommand("bench", "Measure");
    bench->require_subcommand(1);
    sim = bench->add_subcommand("sim", "Simulate");
    sim->add_option("--steps", steps, "How many");
    sim->callback([this] { ++ran; });
  }

  // Quietly: what goes to the terminal is in `out` and `err`.
  Parsed run(const Words& words, const Words& environment = {}) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const Parsed parsed = flags::run(app, words, environment);
    out = testing::internal::GetCapturedStdout();
    err = testing::internal::GetCapturedStderr();
    return parsed;
  }

  CLI::App app{"A program", "pegainfer"};
  CLI::App* serve = nullptr;
  CLI::App* bench = nullptr;
  CLI::App* sim = nullptr;
  std::string model;
  std::string length = "auto";
  int seqs = 8;
  Words keys;
  std::string format = "text";
  bool caching = true;
  bool check = false;
  int steps = 0;
  int ran = 0;
  std::string out;
  std::string err;
};

struct ConfigFile {
  explicit ConfigFile(const std::string& text) {
    path = testing::TempDir() + "flags_test." + std::to_string(::getpid()) + ".yaml";
    std::ofstream(path) << text;
  }
  ~ConfigFile() { std::filesystem::remove(path); }
  std::string path;
};

TEST(Spellings, OfOtherServersAreOurs) {
  for (const Words& words : {Words{"serve", "x", "--max-running-requests", "5"},
                             {"serve", "x", "-np", "5"},
                             {"serve", "x", "--parallel=5"},
                             {"serve", "x", "--max_num_seqs", "5"},
                             {"serve", "--model-path", "x", "--max-num-seqs=5"}}) {
    Program p;
    EXPECT_EQ(p.run(words), Parsed::kRan) << p.err;
    EXPECT_EQ(p.seqs, 5) << words[2];
    EXPECT_EQ(p.model, "x");
  }
  Program p;
  EXPECT_EQ(p.run({"serve", "x", "--disable-radix-cache", "--log-json", "--ctx-size", "4k"}), Parsed::kRan)
      << p.err;
  EXPECT_FALSE(p.caching);
  EXPECT_EQ(p.format, "json");
  EXPECT_EQ(p.length, "4k");
}

TEST(Spellings, WhatHasNoMeaningHereIsIgnoredOrRefusedByName) {
  Program p;
  EXPECT_EQ(p.run({"serve", "-ngl", "99", "x", "--trust-remote-code", "-fa", "on", "-tp", "1",
                   "--swap-space=4", "-fa"}),
            Parsed::kRan)
      << p.err;
  EXPECT_EQ(p.model, "x");  // not 99
  EXPECT_THAT(p.err, AllOf(HasSubstr("-ngl is ignored"), HasSubstr("--trust-remote-code is ignored"),
                           HasSubstr("--swap-space is ignored")));
  for (const Words& words : {Words{"serve", "x", "-tp", "2"},
                             {"serve", "x", "--max-total-tokens", "9"},
                             {"serve", "x", "--enable-lora"}}) {
    Program q;
    EXPECT_EQ(q.run(words), Parsed::kWrong);
    EXPECT_THAT(q.err, HasSubstr(words[2] + " has no meaning here: "));
    EXPECT_EQ(q.ran, 0);
  }
}

TEST(Spellings, AValueIsNeverTakenForAFlag) {
  Program p;
  EXPECT_EQ(p.run({"serve", "-m", "--ctx-size", "-c", "-ngl"}), Parsed::kRan) << p.err;
  EXPECT_EQ(p.model, "--ctx-size");
  EXPECT_EQ(p.length, "-ngl");
}

TEST(Spellings, DidYouMean) {
  for (const auto& [typed, meant] : {std::pair{"--max-num-seq", "--max-num-seqs"},
                                     {"--max-nmu-seqs", "--max-num-seqs"},
                                     {"--ctx-sise", "--ctx-size"},
                                     {"--max-model", "--max-model-len"},
                                     {"--api-kye=secret", "--api-key"}}) {
    Program p;
    EXPECT_EQ(p.run({"serve", "x", typed}), Parsed::kWrong);
    EXPECT_THAT(p.err, HasSubstr(std::string("did you mean ") + meant)) << typed;
    EXPECT_THAT(p.err, Not(HasSubstr("secret")));
  }
  Program p;
  EXPECT_EQ(p.run({"serve", "x", "--quite-something-else"}), Parsed::kWrong);
  EXPECT_THAT(p.err, Not(HasSubstr("did you mean")));
  EXPECT_THAT(p.err, Not(HasSubstr("--check")));
  EXPECT_EQ(p.run({"srve"}), Parsed::kWrong);
  EXPECT_THAT(p.err, HasSubstr("did you mean serve?"));
  EXPECT_EQ(p.run({"bench", "smi"}), Parsed::kWrong);
  EXPECT_THAT(p.err, HasSubstr("pegainfer bench has no command smi; did you mean sim?"));
}

TEST(LateValues, CommandLineThenEnvironmentThenFile) {
  const ConfigFile file(
      "model: from-file\nmax-num-seqs: 3\ncontext_length: 16k\napi-key: [a, b]\nenable-prefix-caching: "
      "off\n");
  Program p;
  EXPECT_EQ(p.run({"serve", "--config", file.path, "-c", "1k"},
                  {"PEGAINFER_MAX_NUM_SEQS=4", "PEGAINFER_MAX_MODEL_LEN=2k"}),
            Parsed::kRan)
      << p.err;
  EXPECT_EQ(p.model, "from-file");
  EXPECT_EQ(p.seqs, 4);
  EXPECT_EQ(p.length, "1k");
  EXPECT_THAT(p.keys, ElementsAre("a", "b"));
  EXPECT_FALSE(p.caching);

  Program q;  // a position counts as given, and the file may be named by the environment
  EXPECT_EQ(q.run({"serve", "x"}, {"PEGAINFER_CONFIG=" + file.path, "PEGAINFER_MODEL=y",
                                   "PEGAINFER_ENABLE_PREFIX_CACHING=1", "PEGAINFER_API_KEY=k1,k2"}),
            Parsed::kRan)
      << q.err;
  EXPECT_EQ(q.model, "x");
  EXPECT_EQ(q.seqs, 3);
  EXPECT_TRUE(q.caching);
  EXPECT_THAT(q.keys, ElementsAre("k1", "k2"));
}

TEST(LateValues, AListOfTheEnvironmentMayBeJson) {
  for (const auto& [text, expected] : {std::pair{R"(["a,b","c"])", Words{"a,b", "c"}},
                                       {"[]", {}},
                                       {"[a,b", {"[a", "b"}},
                                       {R"([1,"a"])", {"[1", "\"a\"]"}}}) {
    Program p;
    EXPECT_EQ(p.run({"serve", "x"}, {std::string("PEGAINFER_API_KEY=") + text}), Parsed::kRan) << p.err;
    EXPECT_EQ(p.keys, expected) << text;
  }
}

TEST(LateValues, FlagsByTheirNegativeNames) {
  for (const auto& [variable, expected] : {std::pair{"PEGAINFER_NO_ENABLE_PREFIX_CACHING=true", false},
                                           {"PEGAINFER_NO_ENABLE_PREFIX_CACHING=0", true},
                                           {"PEGAINFER_DISABLE_RADIX_CACHE=1", false},
                                           {"PEGAINFER_ENABLE_PREFIX_CACHING=no", false},
                                           {"PEGAINFER_ENABLE_PREFIX_CACHING=", true}}) {
    Program p;
    EXPECT_EQ(p.run({"serve", "x"}, {variable}), Parsed::kRan) << p.err;
    EXPECT_EQ(p.caching, expected) << variable;
  }
  Program p;
  EXPECT_EQ(p.run({"serve", "x"}, {"PEGAINFER_ENABLE_PREFIX_CACHING=perhaps"}), Parsed::kWrong);
  EXPECT_THAT(p.err, HasSubstr("PEGAINFER_ENABLE_PREFIX_CACHING must be true or false"));
}

TEST(LateValues, ErrorsNameTheirSource) {
  Program p;
  EXPECT_EQ(p.run({"serve", "x"}, {"PEGAINFER_MAX_NUM_SEQS=65"}), Parsed::kWrong);
  EXPECT_THAT(p.err, HasSubstr("(from PEGAINFER_MAX_NUM_SEQS)"));
  for (const auto& [text, what] :
       {std::pair{"model: x\nmax-num-seq: 3\n",
                  "line 2: max-num-seq is no flag of pegainfer serve; did you mean max-num-seqs?"},
        {"model: x\nmax-num-seqs: 65\n", "(from "},
        {"model: {a: b}\n", "model is nested"},
        {"api-key: [[a]]\n", "api-key is nested"},
        {"max-num-seqs: [1, 2]\n", "takes one value"},
        {"max-num-seqs:\n", "has no value"},
        {"max-num-seqs: 1\nmax_num_seqs: 2\n", "was there before"},
        {"- a\n", "flag: value"},
        {"a: [\n", "line "},
        {"lora: x\n", "has no meaning here"},
        {"config: other.yaml\n", "is no flag"}}) {
    const ConfigFile file(text);
    Program q;
    EXPECT_EQ(q.run({"serve", "x", "--config", file.path}), Parsed::kWrong) << text;
    EXPECT_THAT(q.err, HasSubstr(what)) << text;
    EXPECT_EQ(q.ran, 0);
  }
  Program q;
  EXPECT_EQ(q.run({"serve", "x", "--config", "/no/such/file.yaml"}), Parsed::kWrong);
  EXPECT_THAT(q.err, HasSubstr("/no/such/file.yaml"));
  EXPECT_EQ(q.run({"serve", "x", "--config", "/"}), Parsed::kWrong);
}

TEST(LateValues, UnknownVariablesGetAWarningAndKubernetesOnesDoNot) {
  Program p;
  EXPECT_EQ(p.run({"serve", "x"}, {"PEGAINFER_MAX_NUM_SEQ=1", "PEGAINFER_STEPS=4", "PEGAINFER_CACHE_DIR=/x",
                                   "PEGAINFER_SERVICE_HOST=10.0.0.1", "PEGAINFER_PORT=tcp://10.0.0.1:8000",
                                   "PEGAINFER_PORT_8000_TCP=tcp://10.0.0.1:8000", "HOME=/"}),
            Parsed::kRan);
  EXPECT_EQ(p.err,
            "pegainfer: PEGAINFER_MAX_NUM_SEQ in the environment sets no flag; did you mean "
            "PEGAINFER_MAX_NUM_SEQS?\n");
}

TEST(LateValues, PrintConfigIsAConfigFileWithSources) {
  const ConfigFile file("max-num-seqs: 3\n");
  Program p;
  EXPECT_EQ(p.run({"serve", "a model: #1", "--config", file.path, "--print-config", "--api-key", "hush"},
                  {"PEGAINFER_LOG_FORMAT=json"}),
            Parsed::kShown)
      << p.err;
  EXPECT_EQ(p.ran, 0);
  EXPECT_THAT(p.out, AllOf(HasSubstr("\nmodel: \"a model: #1\"  # flag\n"),
                           HasSubstr("\nmax-num-seqs: 3  # " + file.path + "\n"),
                           HasSubstr("\nlog-format: json  # PEGAINFER_LOG_FORMAT\n"),
                           HasSubstr("\n# max-model-len: auto  # default\n"),
                           HasSubstr("\n# enable-prefix-caching: true  # default\n"),
                           HasSubstr("api-key: \"***\""), Not(HasSubstr("hush"))));
  const auto entries = parse_config(p.out, "printed");
  ASSERT_TRUE(entries) << entries.error().message;
  EXPECT_EQ(entries->size(), 3U);  // model, max-num-seqs, log-format
  EXPECT_THAT(entries->front().values, ElementsAre("a model: #1"));
  EXPECT_EQ(p.run({"serve", "--print-config"}), Parsed::kWrong);  // a model is required all the same
}

TEST(PrintConfig, APasswordInAUrlIsMasked) {
  Program p;
  EXPECT_EQ(p.run({"serve", "http://me:hush@host/a", "--print-config"}), Parsed::kShown);
  EXPECT_THAT(p.out, AllOf(HasSubstr("\n# model: \"***\""), Not(HasSubstr("hush"))));
}

TEST(Help, TopicsAndScreens) {
  Program p;
  EXPECT_EQ(p.run({"serve", "--help"}), Parsed::kShown);
  EXPECT_THAT(p.out, AllOf(HasSubstr("Usage: pegainfer serve MODEL [flags]"),
                           HasSubstr("--[no-]enable-prefix-caching"), HasSubstr("Exit codes")));
  EXPECT_THAT(p.out, AllOf(Not(HasSubstr("--check")), Not(HasSubstr("--context-length")),
                           Not(HasSubstr("values-from"))));
  EXPECT_EQ(p.run({"serve", "--help", "model"}), Parsed::kShown);
  EXPECT_THAT(p.out, AllOf(HasSubstr("--model"), Not(HasSubstr("--max-num-seqs"))));
  EXPECT_EQ(p.run({"bench", "sim", "-h"}), Parsed::kShown);
  EXPECT_THAT(p.out, HasSubstr("--steps N"));
  EXPECT_EQ(p.run({"--help"}), Parsed::kShown);
  EXPECT_THAT(p.out, AllOf(HasSubstr("serve"), HasSubstr("bench")));
}

TEST(Documents, HoldEveryFlagAndCommand) {
  Program p;
  p.run({"serve", "--help"});  // completes the tree
  const std::string man = man_page(p.app, "1.2.3");
  for (const char* text : {".TH PEGAINFER 1", ".SS pegainfer bench sim", "\\-\\-max\\-num\\-seqs",
                           "\\-\\-ctx\\-size", ".SH EXIT STATUS"})
    EXPECT_THAT(man, HasSubstr(text));
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const auto script = completion_script(p.app, shell);
    ASSERT_TRUE(script);
    for (const char* text : {"max-num-seqs", "steps", "text json"})
      EXPECT_THAT(*script, HasSubstr(text)) << shell;
    EXPECT_THAT(*script, Not(HasSubstr("check"))) << shell;
  }
  EXPECT_FALSE(completion_script(p.app, "cmd"));
}

}  // namespace
}  // namespace pegainfer::apps::flags
