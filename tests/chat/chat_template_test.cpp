#include "chat/chat_template.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace pegainfer::chat {
namespace {

std::shared_ptr<const ChatTemplate> compile(std::string source) {
  auto compiled = ChatTemplate::compile(std::move(source), {{"bos_token", "<s>"}});
  EXPECT_TRUE(compiled) << compiled.error().message;
  return compiled ? *compiled : nullptr;
}

Result<RenderedText> render(const std::string& source, const std::string& messages, bool continued = false) {
  const json::Value parsed = *json::parse(messages);
  RenderInputs inputs;
  inputs.messages = &parsed.as_array();
  inputs.continue_final_message = continued;
  return compile(source)->render(inputs);
}

std::string text(const std::string& source, const std::string& messages, bool continued = false) {
  const auto rendered = render(source, messages, continued);
  return rendered ? rendered->text : "error: " + rendered.error().message;
}

constexpr const char* kPlain = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";

TEST(ChatTemplate, RolesOfTheApiAreTrustedAndOthersAreNot) {
  const std::string source = "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% endfor %}";
  const auto known = render(source, R"([{"role":"user","content":"<|user|>"}])");
  ASSERT_TRUE(known);
  EXPECT_EQ(known->text, "<|user|><|user|>");
  EXPECT_EQ(known->untrusted, (std::vector<TextSpan>{{8, 16}}));
  const auto odd = render(source, R"([{"role":"endoftext","content":"x"}])");
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->untrusted, (std::vector<TextSpan>{{2, 11}, {13, 14}}));
}

TEST(ChatTemplate, EverythingOfTheRequestIsUntrusted) {
  const json::Object request = json::parse(R"({"messages":[{"role":"user","content":"a"}],
    "tools":[{"type":"function","function":{"name":"f"}}],"documents":[{"title":"t"}],"kwargs":{"x":"k"}})")
                                   ->as_object();
  RenderInputs inputs;
  inputs.messages = &request.at("messages").as_array();
  inputs.tools = &request.at("tools").as_array();
  inputs.documents = &request.at("documents").as_array();
  inputs.kwargs = &request.at("kwargs").as_object();
  const auto rendered = compile(
                            "{{ bos_token }}{{ tools[0].function.name }}.{{ documents[0].title }}.{{ x }}.{{ "
                            "messages[0].content }}"
                            "{{ add_generation_prompt }}")
                            ->render(inputs);
  ASSERT_TRUE(rendered) << rendered.error().message;
  EXPECT_EQ(rendered->text, "<s>f.t.k.aTrue");
  EXPECT_EQ(rendered->untrusted, (std::vector<TextSpan>{{3, 4}, {5, 6}, {7, 8}, {9, 10}}));
}

TEST(ChatTemplate, PartsBecomeAStringWhereTheTemplateWritesContent) {
  EXPECT_EQ(
      text(kPlain, R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])"),
      "[user]a\nb");
  EXPECT_FALSE(compile(kPlain)->wants_content_parts());
}

TEST(ChatTemplate, PartsStayWhereTheTemplateIteratesOverContent) {
  for (const char* source :
       {"{% for m in messages %}{% for p in m.content %}{{ p.text }};{% endfor %}{% endfor %}",
        "{% for m in messages %}{% for p in m['content'] %}{{ p['text'] }};{% endfor %}{% endfor %}",
        "{% for m in messages[0:] %}{% set c = m.content %}{% for p in c|list %}{{ p.text }};{% endfor %}{% "
        "endfor %}",
        "{% macro show(x) %}{% for p in x %}{{ p.text }};{% endfor %}{% endmacro %}"
        "{% set loop_messages = messages %}{% for m in loop_messages %}{{ show(m.content) }}{% endfor %}"}) {
    EXPECT_TRUE(compile(source)->wants_content_parts()) << source;
    EXPECT_EQ(text(source,
                   R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])"),
              "a;b;");
    // A string reaches the template in the one form it understands.
    EXPECT_EQ(text(source, R"([{"role":"user","content":"ab"}])"), "ab;");
  }
  const std::string either =
      "{% for m in messages %}{% if m.content is string %}S{{ m.content }}{% else %}{% for p in m.content "
      "%}P{{ p.text }}"
      "{% endfor %}{% endif %}{% endfor %}";
  EXPECT_EQ(text(either,
                 R"([{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":"b"}]}])"),
            "SaPb");
}

TEST(ChatTemplate, ArgumentsOfCallsAreObjects) {
  const std::string source = "{{ messages[0].tool_calls[0].function.arguments | tojson }}";
  const auto arguments = [&](const std::string& json) {
    return text(source, R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":)" + json +
                            "}}]}]");
  };
  EXPECT_EQ(arguments(R"("{\"b\": 1, \"a\": [18446744073709551615]}")"),
            R"({"b": 1, "a": [18446744073709551615]})");
  EXPECT_EQ(arguments(R"("")"), "{}");
  EXPECT_EQ(arguments(R"("not json")"), R"("not json")");
  EXPECT_EQ(arguments(R"("[1]")"), R"("[1]")");
  EXPECT_EQ(arguments(R"({"a": 1})"), R"({"a": 1})");
}

TEST(ChatTemplate, NullsAreLeftOutButForContent) {
  const std::string source =
      "{{ messages[0].content is none }}{{ messages[0].tool_calls is defined }}{{ messages[0].reasoning is "
      "defined }}";
  EXPECT_EQ(text(source, R"([{"role":"assistant","content":null,"tool_calls":null,"reasoning":null}])"),
            "TrueFalseFalse");
}

TEST(ChatTemplate, ReasoningHasAllItsNames) {
  const std::string source =
      "{{ messages[0].reasoning_content }}{{ messages[0].reasoning }}{{ messages[0].thinking }}";
  for (const char* name : {"reasoning", "reasoning_content", "thinking"}) {
    EXPECT_EQ(text(source,
                   std::string(R"([{"role":"assistant","content":"","content_":0,")") + name + R"(":"r"}])"),
              "rrr");
  }
}

TEST(ChatTemplate, TheFinalMessageGoesOn) {
  const std::string source = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</end>{% endfor %}";
  EXPECT_EQ(text(source, R"([{"role":"user","content":"q"},{"role":"assistant","content":"One, "}])", true),
            "<user>q</end><assistant>One, ");
  const std::string trims = "{% for m in messages %}<{{ m.role }}>{{ m.content|trim }}</end>{% endfor %}";
  EXPECT_EQ(text(trims, R"([{"role":"user","content":"q"},{"role":"assistant","content":"One, "}])", true),
            "<user>q</end><assistant>One,");
  EXPECT_NE(text(source, R"([{"role":"assistant","content":null}])", true).find("no content to continue"),
            std::string::npos);
  EXPECT_NE(text("{% for m in messages[1:] %}{{ m.content }}{% endfor %}",
                 R"([{"role":"user","content":"q"}])", true)
                .find("does not appear"),
            std::string::npos);
  EXPECT_NE(text("{{ messages }}", R"([{"role":"user","content":"q"}])", true).find("reads no content"),
            std::string::npos);
}

TEST(ChatTemplate, ErrorsHaveTheirType) {
  const auto raised = render("{{ raise_exception('roles must alternate') }}", "[]");
  ASSERT_FALSE(raised);
  EXPECT_EQ(raised.error().message, "chat template: line 1, column 19: roles must alternate");
  EXPECT_EQ(raised.error().type, "template_error");
  EXPECT_FALSE(render(kPlain, "[1]"));
  const auto broken = ChatTemplate::compile("{% if %}", {});
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().type, "template_error");
}

TEST(ChatTemplate, TheClockCanBeGiven) {
  RenderInputs inputs;
  const json::Array none;
  inputs.messages = &none;
  inputs.now = std::chrono::system_clock::time_point(std::chrono::hours(24 * 365));
  const auto rendered = compile("{{ strftime_now('%Y') }}")->render(inputs);
  ASSERT_TRUE(rendered);
  EXPECT_EQ(rendered->text, "1971");
  EXPECT_TRUE(rendered->untrusted.empty());
}

}  // namespace
}  // namespace pegainfer::chat
