#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/core.h>
#include <pcre2.h>

#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "tokenizer/unicode.h"

namespace pegainfer {
namespace {

// Enough for every pattern in use on a text of any length; a pattern that needs more is a mistake.
constexpr uint32_t kMatchLimit = 20'000'000;
constexpr uint32_t kHeapLimitKib = 256 * 1024;
constexpr size_t kJitStackStart = 32 * 1024;
constexpr size_t kJitStackMost = 8 * 1024 * 1024;  // on the heap: the caller's stack may be small

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  Code() = default;
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(code); }
};

Regex::Regex(std::unique_ptr<Code> code) : code_(std::move(code)) {}
Regex::~Regex() = default;

Result<std::unique_ptr<Regex>> Regex::compile(std::string_view pattern) {
  ASSIGN_OR_RETURN(const std::string translated, translate_regex(pattern));
  int code = 0;
  PCRE2_SIZE offset = 0;
  auto owned = std::make_unique<Code>();
  owned->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NO_UTF_CHECK, &code, &offset, nullptr);
  if (owned->code == nullptr) {
    PCRE2_UCHAR text[256];
    pcre2_get_error_message(code, text, sizeof text);
    return invalid_argument(fmt::format("the regular expression {} cannot be compiled: {}",
                                        json::quote(pattern), reinterpret_cast<const char*>(text)));
  }
  pcre2_jit_compile(owned->code, PCRE2_JIT_COMPLETE);  // where there is no JIT, the interpreter serves
  return std::unique_ptr<Regex>(new Regex(std::move(owned)));
}

struct Regex::Finder::State {
  const pcre2_code* code = nullptr;
  std::string_view text;
  size_t pos = 0;
  size_t last_end = std::string_view::npos;
  pcre2_match_data* data = nullptr;
  pcre2_match_context* context = nullptr;
  pcre2_jit_stack* stack = nullptr;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

Regex::Finder::Finder(const Regex& regex, std::string_view text) : state_(std::make_unique<State>()) {
  state_->code = regex.code_->code;
  state_->text = text;
  state_->data = pcre2_match_data_create_from_pattern(state_->code, nullptr);
  state_->context = pcre2_match_context_create(nullptr);
  state_->stack = pcre2_jit_stack_create(kJitStackStart, kJitStackMost, nullptr);
  CHECK(state_->data != nullptr && state_->context != nullptr, "out of memory");
  pcre2_set_match_limit(state_->context, kMatchLimit);
  pcre2_set_heap_limit(state_->context, kHeapLimitKib);
  if (state_->stack != nullptr) pcre2_jit_stack_assign(state_->context, nullptr, state_->stack);
}

Regex::Finder::~Finder() = default;

bool Regex::Finder::next(Match* match) {
  State& s = *state_;
  while (s.pos <= s.text.size()) {
    const int rc = pcre2_match(s.code, reinterpret_cast<PCRE2_SPTR>(s.text.data()), s.text.size(), s.pos,
                               PCRE2_NO_UTF_CHECK, s.data, s.context);
    if (rc == PCRE2_ERROR_NOMATCH) return false;
    const auto step = [&] { s.pos += s.pos < s.text.size() ? unicode::length_of(s.text[s.pos]) : 1; };
    if (rc < 0) {
      step();
      continue;
    }
    const PCRE2_SIZE* found = pcre2_get_ovector_pointer(s.data);
    if (found[0] == found[1] && s.last_end == found[1]) {
      step();
      continue;
    }
    s.pos = found[1];
    s.last_end = found[1];
    *match = {found[0], found[1]};
    return true;
  }
  return false;
}

}  // namespace pegainfer
