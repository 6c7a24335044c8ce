#include "tokenizer/unicode.h"

#include <gtest/gtest.h>

#include "tokenizer/unicode_normalize.h"

namespace pegainfer::unicode {
namespace {

std::string normalized(Form form, std::string_view text) {
  std::string buffer;
  return std::string(FormNormalizer(form).apply(text, buffer));
}

TEST(Unicode, ClassesOfTheEnginesBehindTokenizers) {
  const ClassTable& t = ClassTable::get();
  EXPECT_EQ(t.of('a'), kLetter | kLower | kWord);
  EXPECT_EQ(t.of('7'), kNumber | kNumeric | kWord);
  EXPECT_EQ(t.of(' '), kSpace);
  EXPECT_EQ(t.of('_'), kPunct | kWord);
  EXPECT_EQ(t.of('$'), kPunct);  // ASCII punctuation that Unicode calls a symbol
  EXPECT_EQ(t.of(0x20AC), 0);    // the euro sign is a symbol only
  EXPECT_EQ(t.of(0x85), kSpace);
  EXPECT_EQ(t.of(0x301), kMark | kWord);
  EXPECT_EQ(t.of(0xBD), kNumber | kNumeric);          // one half
  EXPECT_EQ(t.of(0x31350), kLetter | kWord);          // Unicode 15
  EXPECT_EQ(t.of(0x1C89), kLetter | kUpper | kWord);  // Unicode 16
  EXPECT_EQ(t.of(0x11DE0) & kNumber, 0);              // Unicode 17, which only Rust knows
  EXPECT_EQ(t.of(0x11DE0) & kNumeric, kNumeric);
  EXPECT_EQ(t.of(0x10FFFF), 0);
}

TEST(Unicode, Lowercase) {
  std::string out;
  for (const uint32_t c : {0x41U, 0xC9U, 0x130U, 0x3A3U, 0x10D50U, 0xA7DCU, 0x4E00U}) append_lower(out, c);
  EXPECT_EQ(out, "aéi\xCC\x87σ\xF0\x90\xB5\xB0ƛ一");
}

TEST(Normalize, FormsOfKnownTexts) {
  EXPECT_EQ(normalized(Form::kNfc, "e\xCC\x81"), "é");
  EXPECT_EQ(normalized(Form::kNfd, "é"), "e\xCC\x81");
  EXPECT_EQ(normalized(Form::kNfc, "e\xCC\xA3\xCC\x82"), "ệ");
  EXPECT_EQ(normalized(Form::kNfc, "e\xCC\x82\xCC\xA3"), "ệ");  // the marks change places
  EXPECT_EQ(normalized(Form::kNfc, "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"), "각");
  EXPECT_EQ(normalized(Form::kNfkc, "ﬁ①Å"), "fi1Å");
  EXPECT_EQ(normalized(Form::kNfkd, "ｶﾞ"), "カ\xE3\x82\x99");
  EXPECT_EQ(normalized(Form::kNfc, "क़"), "क\xE0\xA4\xBC");  // excluded from composition
}

TEST(Normalize, TextThatIsNormalizedIsNotCopied) {
  const std::string text = "plain ASCII, Ünïcödé, 日本語, 한국어, Привет, 😀";
  std::string buffer;
  EXPECT_EQ(FormNormalizer(Form::kNfc).apply(text, buffer).data(), text.data());
}

TEST(Normalize, CharactersNewerThanTheReferenceStayInPlace) {
  // U+1AC5 has a combining class since Unicode 14; the tables followed do not know it.
  const std::string text = "\xE1\xAB\x85\xCC\xB4\xCC\x81";
  EXPECT_EQ(normalized(Form::kNfc, text), text);
  EXPECT_EQ(normalized(Form::kNfd, "a\xCD\x85\xE1\xAB\x85"), "a\xCD\x85\xE1\xAB\x85");
}

TEST(Normalize, ALongRunOfMarksIsSorted) {
  std::string text = "a";
  for (int i = 0; i < 20000; ++i) text += i % 2 == 0 ? "\xCD\x85" : "\xCC\xB4";  // classes 240 and 1
  std::string expected = "a";
  for (int i = 0; i < 10000; ++i) expected += "\xCC\xB4";
  for (int i = 0; i < 10000; ++i) expected += "\xCD\x85";
  EXPECT_EQ(normalized(Form::kNfd, text), expected);
}

}  // namespace
}  // namespace pegainfer::unicode
