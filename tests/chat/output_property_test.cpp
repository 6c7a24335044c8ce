// However a text is cut, the deltas make the same message; and nothing of the text is lost.
#include <algorithm>
#include <map>
#include <random>

#include "base/json.h"
#include "chat/transcripts.h"

namespace pegainfer::chat {
namespace {

// Where the text may be cut: between characters.
std::vector<size_t> boundaries(std::string_view text) {
  std::vector<size_t> all;
  for (size_t i = 1; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) all.push_back(i);
  }
  return all;
}

std::vector<std::string_view> cut(std::string_view text, const std::vector<size_t>& cuts) {
  std::vector<std::string_view> pieces;
  size_t begin = 0;
  for (const size_t end : cuts) {
    pieces.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  pieces.push_back(text.substr(begin));
  return pieces;
}

// Ids that the parser makes differ from run to run; those of the text do not.
Parsed without_made_ids(Parsed parsed, const Transcript& transcript) {
  for (Call& call : parsed.calls) {
    EXPECT_TRUE(transcript.options.tool_format != "mistral" || call.id.size() == 9);
    if (transcript.text.find(call.id) == std::string::npos) call.id.clear();
  }
  return parsed;
}

std::map<std::string, int> words_of(const std::string& text) {
  std::map<std::string, int> words;
  for (size_t i = text.find('w'); i != std::string::npos; i = text.find('w', i + 1)) {
    size_t end = i + 1;
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    if (end > i + 1 && end < text.size() && text[end] == 'x') ++words[text.substr(i, end + 1 - i)];
  }
  return words;
}

std::string all_of(const Parsed& parsed) {
  std::string text = parsed.reasoning + "\n" + parsed.content;
  for (const Call& call : parsed.calls) text += "\n" + call.name + "\n" + call.arguments;
  return text;
}

void expect_as_written(const Parsed& parsed, const Parsed& expected) {
  EXPECT_EQ(parsed.reasoning, expected.reasoning);
  EXPECT_EQ(parsed.content, expected.content);
  ASSERT_EQ(parsed.calls.size(), expected.calls.size());
  for (size_t i = 0; i < parsed.calls.size(); ++i) {
    EXPECT_EQ(parsed.calls[i].name, expected.calls[i].name);
    const auto arguments = json::parse(parsed.calls[i].arguments);
    ASSERT_TRUE(arguments) << parsed.calls[i].arguments;
    EXPECT_EQ(*arguments, *json::parse(expected.calls[i].arguments)) << parsed.calls[i].arguments;
  }
}

class OutputProperty : public testing::Test {
 protected:
  const std::vector<Transcript> transcripts_ = make_transcripts(20261126, 30);
};

TEST_F(OutputProperty, TheSameMessageForEveryCutting) {
  std::mt19937_64 random(1);
  for (const Transcript& transcript : transcripts_) {
    const Parsed whole = without_made_ids(parse(transcript.options, transcript.text), transcript);
    const auto all = boundaries(transcript.text);
    std::vector<std::vector<size_t>> cuttings = {all};
    for (const size_t size : {2U, 3U, 7U, 16U}) {
      std::vector<size_t> cuts;
      for (size_t i = size - 1; i < all.size(); i += size) cuts.push_back(all[i]);
      cuttings.push_back(cuts);
    }
    for (int i = 0; i < 50; ++i) {
      const uint64_t one_in = 1 + random() % 20;
      std::vector<size_t> cuts;
      std::copy_if(all.begin(), all.end(), std::back_inserter(cuts),
                   [&](size_t) { return random() % one_in == 0; });
      cuttings.push_back(cuts);
    }
    for (const auto& cuts : cuttings) {
      const Parsed pieces =
          without_made_ids(parse_pieces(transcript.options, cut(transcript.text, cuts)), transcript);
      ASSERT_EQ(pieces, whole) << transcript.what << "\n"
                               << transcript.text << "\nin " << cuts.size() + 1 << " pieces";
    }
  }
}

TEST_F(OutputProperty, WellFormedCallsAreAsWritten) {
  size_t num_well_formed = 0;
  for (const Transcript& transcript : transcripts_) {
    if (!transcript.expected) continue;
    ++num_well_formed;
    expect_as_written(parse(transcript.options, transcript.text), *transcript.expected);
    ASSERT_FALSE(HasFailure()) << transcript.what << "\n" << transcript.text;
  }
  EXPECT_GE(num_well_formed, 200U);
}

TEST_F(OutputProperty, NothingIsLostOrSaidTwice) {
  size_t num_words = 0;
  for (const Transcript& transcript : transcripts_) {
    if (!transcript.keeps_words) continue;
    const auto words = words_of(transcript.text);
    num_words += words.size();
    ASSERT_EQ(words_of(all_of(parse(transcript.options, transcript.text))), words) << transcript.what << "\n"
                                                                                   << transcript.text;
  }
  EXPECT_GE(num_words, 1000U);
}

// Long arguments, byte by byte: what takes time that grows with the square would take very long.
TEST(OutputParser, TimeIsLinear) {
  const std::map<std::string, std::pair<std::string, std::string>> frames = {
      {"hermes", {"<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":\"", "\"}}</tool_call>"}},
      {"qwen3_coder", {"<function=f><parameter=a>", "</parameter></function>"}},
      {"llama3_json", {"{\"name\":\"f\",\"parameters\":{\"a\":\"", "\"}}"}},
      {"pythonic", {"[f(a='", "')]"}},
      {"mistral", {"[TOOL_CALLS]f[ARGS]{\"a\":\"", "\"}"}},
      {"deepseek_v3", {"<｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\":\"", "\"}"}},
      {"json", {"{\"arguments\":{\"a\":\"", "\"},\"name\":\"f\"}"}},  // held until the name is known
  };
  for (const ToolFormat& format : tool_formats()) {
    const auto parser = make_output_parser({.tool_format = format.name, .tool_names = {"f"}});
    Parsed parsed;
    const auto& [begin, end] = frames.at(format.name);
    parsed.add(parser->push(begin));
    for (int i = 0; i < 300'000; ++i) parsed.add(parser->push(i % 7 == 0 ? "<" : "a"));
    parsed.add(parser->push(end));
    parsed.add(parser->finish());
    ASSERT_EQ(parsed.calls.size(), 1U) << format.name;
    EXPECT_GT(parsed.calls[0].arguments.size(), 300'000U) << format.name;
  }
}

}  // namespace
}  // namespace pegainfer::chat
