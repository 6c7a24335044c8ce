// The template language: every construct against what Jinja2 gives (jinja_cases.json; templates_test.py
// --cases holds the table itself to Jinja2), limits, where errors are, and which bytes stay untrusted.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/json.h"
#include "chat/jinja/template.h"
#include "chat/messages.h"

namespace pegainfer::jinja {
namespace {

const std::chrono::system_clock::time_point kNow{std::chrono::seconds(1767345678)};

json::Value read_json(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  json::ParseLimits limits;
  limits.reject_duplicate_keys = true;
  auto parsed = json::parse(text.str(), limits);
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed ? *std::move(parsed) : json::Value();
}

Template::Variables variables(const json::Object& context) {
  Template::Variables out;
  size_t bytes = 0;
  for (const auto& [name, value] : context) out.emplace_back(name, chat::template_value(value, bytes));
  return out;
}

Result<Text> render(std::string_view source, const json::Object& context = {}, const Limits& limits = {}) {
  auto compiled = Template::compile(source, limits);
  if (!compiled) return compiled.error();
  return (*compiled)->render(variables(context), 0, kNow);
}

// The text with its untrusted bytes between < and >.
std::string marked(const Text& text) {
  std::string out;
  for_each_run(text, [&](std::string_view run, bool untrusted) {
    out += untrusted ? "<" + std::string(run) + ">" : std::string(run);
  });
  return out;
}

TEST(Jinja, EveryConstructAsJinja2) {
  setenv("TZ", "UTC", 1);
  tzset();
  const json::Value table = read_json(PEGA_SOURCE_DIR "/tests/chat/jinja_cases.json");
  const json::Object& context = table.at("context").as_object();
  ASSERT_GT(table.at("cases").as_array().size(), 190U);
  for (const json::Value& row : table.at("cases").as_array()) {
    const std::string source(row.at(0).as_string());
    const auto text = render(source, context);
    if (row.at(1).is_null()) {
      EXPECT_FALSE(text) << source << " gives " << text->bytes;
    } else {
      ASSERT_TRUE(text) << source << ": " << text.error().message;
      EXPECT_EQ(text->bytes, std::string(row.at(1).as_string())) << source;
    }
  }
}

TEST(Jinja, ErrorsNameLineAndColumn) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"a\nbc {{ x.y }}", "line 2, column 9: 'x' is undefined"},
      {"\xC3\xA9{{ 1 + 'a' }}", "line 1, column 7: unsupported operand types for +: 'int' and 'str'"},
      {"{% if x %}", "line 1, column 11: expected '{% endif %}'"},
      {"\n\n  {% foo %}", "line 3, column 6: unknown tag 'foo'"},
      {"{{ raise_exception('no ' ~ 'way') }}", "line 1, column 19: no way"},
      {R"({{ raise_exception('a\nb') }})", "line 1, column 19: a b"},  // an error is one line
      {"{{ {'a': 1}['r\no'].x }}", "line 2, column 5: 'dict' has no attribute 'r o'"},
      {"{{ 'a' | nope }}", "line 1, column 10: no filter named 'nope'"},
      {"{{ 1 is nope }}", "line 1, column 9: no test named 'nope'"},
      {"{{ 'abc }}", "line 1, column 4: a string is not closed"},
      {"{{ (1 }}", "line 1, column 7: unexpected '}', expected ')'"},
      {"{{ a b }}", "line 1, column 6: expected '}}', got 'b'"},
      {"{% for a, b in [[1]] %}{% endfor %}", "line 1, column 8: 1 values to unpack, expected 2"},
      {"{% macro m() %}\n{{ 1 // 0 }}{% endmacro %}\n{{ m() }}", "line 2, column 6: division by zero"},
      {"{{ [].append(1) }}", "line 1, column 13: access to an attribute that changes a list is unsafe"},
      {"{{ none | length }}", "line 1, column 11: object of type 'None' has no len()"},
      {"{% break %}", "line 1, column 4: 'break' outside of a loop"},
      {"{# x", "line 1, column 1: a comment is not closed"},
      {"{{ 99999999999999999999 }}", "line 1, column 4: the integer is too large"},
      {"{{ 9223372036854775807 + 1 }}", "line 1, column 24: an integer is too large"},
  };
  for (const auto& [source, message] : cases) {
    const auto text = render(source);
    ASSERT_FALSE(text) << source;
    EXPECT_EQ(text.error().message, "chat template: " + std::string(message));
    EXPECT_EQ(text.error().type, "template_error");
    EXPECT_EQ(text.error().code, Code::kInvalidArgument);
  }
}

TEST(Jinja, LongErrorsAreCutBetweenCharacters) {
  const std::string at = "chat template: line 1, column 19: ";
  const auto message = [](std::string_view text) {
    return render(fmt::format("{{{{ raise_exception({}) }}}}", text)).error().message;
  };
  EXPECT_EQ(message("'x' * 1000"), at + std::string(1000, 'x'));
  EXPECT_EQ(message("'x' * 1000000"), at + std::string(1000, 'x') + "...");
  std::string wide;
  for (int i = 0; i < 333; ++i) wide += "\xE4\xBD\xA0";
  EXPECT_EQ(message("'\xE4\xBD\xA0' * 334"), at + wide + "...");
}

TEST(Jinja, LimitsAreErrors) {
  const auto repeat = [](std::string_view part, size_t count) {
    std::string out;
    for (size_t i = 0; i < count; ++i) out += part;
    return out;
  };
  const std::pair<std::string, std::string_view> cases[] = {
      {"{{ " + repeat("(", 5000) + "1" + repeat(")", 5000) + " }}", "nested too deeply"},
      {"{{ " + repeat("-", 5000) + "1 }}", "nested too deeply"},
      {"{{ " + repeat("not ", 5000) + "1 }}", "nested too deeply"},
      {"{{ " + repeat("[", 5000) + repeat("]", 5000) + " }}", "nested too deeply"},
      {"{{ 1" + repeat(" + 1", 100000) + " }}", "nested too deeply"},
      {"{{ x" + repeat("|upper", 100000) + " }}", "nested too deeply"},
      {"{{ x" + repeat(".y", 100000) + " }}", "nested too deeply"},
      {repeat("{% if 1 %}", 5000), "nested too deeply"},
      {"{% set r = range(100000) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}",
       "too many steps"},
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "too deeply"},
      {"{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "nested too deeply"},
      {"{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
       "too large"},
      {"{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
       "too much memory"},
      {"{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}",
       "nested too deeply"},
      {"{% set ns = namespace(x={}) %}{% for i in range(9999) %}{% set ns.x = {'f': ns.x.get} %}{% endfor %}",
       "nested too deeply"},
      {"{{ 'a' * 99999999999 }}", "too large"},
      {"{{ [0] * 99999999999 }}", "too much memory"},
      {"{{ '' ~ ('a' * 1000000) ~ ('a' * 1000000) }}", "too large"},
      {"{% set x = 'a' * 1000 %}{% for i in range(100000) %}{{ x }}{% endfor %}", "too large"},
      {"{{ range(100001) }}", "Range too big"},
      {"{{ '%99999999d' % 1 ~ '%*d' % (99999999, 1) ~ 'x' * 999999999 }}", "too large"},
      {"{{ 'a'.ljust(99999999999) }}", "too large"},
      {"{{ ('a' * 999999)|replace('', 'bbbbbbbbbbbbbbbbbb') }}", "too large"},
      {"{{ ('a' * 999999)|list }}", "too much memory"},
      {"{{ [1,2]|slice(99999999)|list }}", "too many slices"},
      {"{{ 'a'|indent(999999999, true) }}", "too large"},
  };
  Limits limits;
  limits.steps = 300'000;
  limits.output_bytes = size_t{1} << 20;
  limits.memory_bytes = size_t{32} << 20;
  for (const auto& [source, message] : cases) {
    const auto text = render(source, {}, limits);
    ASSERT_FALSE(text) << source.substr(0, 60);
    EXPECT_NE(text.error().message.find(message), std::string::npos)
        << source.substr(0, 60) << ": " << text.error().message;
    EXPECT_EQ(text.error().message.find("chat template: line "), 0U);
  }
}

TEST(Jinja, WhatCanHoldItselfIsFreed) {
  // The sanitizer's leak check is the assertion.
  for (const std::string_view source :
       {"{% set ns = namespace() %}{% set ns.ns = ns %}{% set ns.l = [ns] %}x",
        "{% macro m() %}{% endmacro %}{% set ns = namespace(m=m) %}x",
        "{% for i in [1] %}{% set ns = namespace() %}{% set ns.l = loop %}{{ loop.changed(loop, ns) }}{% "
        "endfor %}",
        "{% set ns = namespace(f=none) %}{% for i in range(50000) %}{% set old = ns.f %}{% macro m() %}{{ "
        "old }}"
        "{% endmacro %}{% set ns.f = m %}{% endfor %}{% set ns.f = none %}x"}) {
    EXPECT_TRUE(render(source)) << source << render(source).error().message;
  }
}

TEST(Jinja, WhatTheRequestBroughtStaysUntrusted) {
  const json::Object context{{"u", "Ab c"}, {"l", {"x", "y"}}, {"d", {{"k", "v\n\"q\""}}}, {"n", 5}};
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"[{{ u }}]", "[<Ab c>]"},
      {"{{ 'a' + u + 'b' }}{{ 'a' ~ u ~ n }}", "a<Ab c>ba<Ab c>5"},
      {"{{ u[1:3] }}|{{ u[::-1] }}|{{ u[0] }}|{{ ('x' ~ u)[:2] }}", "<b >|<c bA>|<A>|x<A>"},
      {"{{ u.upper() }}{{ u|lower }}{{ u|title }}{{ u|capitalize }}", "<AB Cab cAb CAb c>"},
      {"{{ ('  ' ~ u ~ ' ')|trim }}|{{ ('-' ~ u).strip('-') }}", "<Ab c>|<Ab c>"},
      {"{{ u.split() | join('-') }}|{{ '-'.join(l) }}|{{ u.split(' ')[1] }}", "<Ab>-<c>|<x>-<y>|<c>"},
      {"{{ u|replace('b', 'X') }}|{{ 'a-b'|replace('-', u) }}|{{ u.replace('A', '') }}",
       "<A>X< c>|a<Ab c>b|<b c>"},
      {"{{ d|tojson }}", "{\"<k>\": \"<v\\n\\\"q\\\">\"}"},
      {"{{ l|tojson(indent=1) }}", "[\n \"<x>\",\n \"<y>\"\n]"},
      {"{{ d }}|{{ l }}", "{'<k>': '<v\\n\"q\">'}|['<x>', '<y>']"},
      {"{{ '%s!' % u }}|{{ '%5s' % l[0] }}|{{ '{}-{}'.format(u, 1) }}", "<Ab c>!|    <x>|<Ab c>-1"},
      {"{{ u % () }}|{{ u.format() }}", "<Ab c>|<Ab c>"},
      {"{{ (u ~ '\n' ~ u)|indent(2) }}", "<Ab c>\n  <Ab c>"},
      {"{% set x %}[{{ u }}]{% endset %}{{ x }}", "[<Ab c>]"},
      {"{% macro m(a) %}({{ a }}{{ caller() }}){% endmacro %}{% call m(u) %}t{{ u }}{% endcall %}",
       "(<Ab c>t<Ab c>)"},
      {"{% filter upper %}q{{ u }}{% endfilter %}", "Q<AB C>"},
      {"{% for c in u %}{{ c }}{% endfor %}|{% for k, v in d.items() %}{{ k }}={{ v[0] }}{% endfor %}",
       "<Ab c>|<k>=<v>"},
      {"{{ l|map('upper')|join }}|{{ l|sort|last }}|{{ l|first ~ 'z' }}", "<XY>|<y>|<x>z"},
      {"{{ u|escape }}|{{ '<' ~ u|safe }}|{{ (u|safe) + '<' }}", "<Ab c>|<<Ab c>|<Ab c>&lt;"},
      {"{{ u.center(8, '*') }}|{{ u.zfill(6) }}|{{ u|truncate(3, true, '') }}", "**<Ab c>**|00<Ab c>|<Ab c>"},
      {"{{ u * 2 }}|{{ dict(a=u).a }}|{{ namespace(a=u).a }}|{{ [u][0] }}|{{ (u, 1)|join }}",
       "<Ab cAb c>|<Ab c>|<Ab c>|<Ab c>|<Ab c>1"},
      {"{{ 'a' if u == 'Ab c' else 'b' }}|{{ u|length }}|{{ n }}|{{ missing|default(u) }}", "a|4|5|<Ab c>"},
      {"{{ u.partition(' ')[2] }}|{{ u.removeprefix('A') }}|{{ u.splitlines()[0] }}|{{ u|string }}|{{ "
       "u|list|join }}",
       "<c>|<b c>|<Ab c>|<Ab c>|<Ab c>"},
      {"{{ u|urlencode }}|{{ u|striptags }}|{{ u|center(6) }}|{{ u|format }}",
       "<Ab%20c>|<Ab> <c>| <Ab c> |<Ab c>"},
      {"{{ ''.join([u, 'b', u]) }}|{{ u.swapcase() }}|{{ l|reverse|join }}|{{ u|reverse }}",
       "<Ab c>b<Ab c>|<aB C>|<yx>|<c bA>"},
  };
  for (const auto& [source, expected] : cases) {
    const auto text = render(source, context);
    ASSERT_TRUE(text) << source << ": " << text.error().message;
    EXPECT_EQ(marked(*text), expected) << source;
    size_t end = 0;
    for (const TextSpan& span : text->untrusted) {
      EXPECT_TRUE(span.begin < span.end && span.end <= text->bytes.size() && (span.begin > end || end == 0))
          << source;
      end = span.end;
    }
  }
}

TEST(Jinja, BrokenTextNeverStopsIt) {
  // Bytes that are no UTF-8 can come in a template file.
  for (const std::string_view source :
       {"\xff\xfe{{ 1 }}\xe4\xbd", "{{ '\xff'|upper ~ '\xff'[::-1] ~ '\xff'|tojson }}", "{{ \xff }}",
        "{{ '\xf0\x9f'|length }}", "{% \xf0\x9f %}"}) {
    const auto text = render(source);
    EXPECT_TRUE(text || text.error().type == "template_error") << source;
  }
}

}  // namespace
}  // namespace pegainfer::jinja
