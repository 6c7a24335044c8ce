#include "tokenizer/json_components.h"

#include <fmt/core.h>

#include <array>
#include <utility>

#include "base/json.h"
#include "tokenizer/unicode.h"

namespace pegainfer {
namespace {

constexpr size_t kMaxSteps = 64;  // of one kind; real tokenizers have up to six

struct PatternSpec {
  std::string text;              // a plain string, or
  std::string regex_source;      // what `regex` was compiled from
  std::unique_ptr<Regex> regex;  // when not null
};

// {"String": ...} or {"Regex": ...}. `known` tells sources that need no compiling.
Result<PatternSpec> parse_pattern(const json::Object& object, const std::string& where, bool skip_known) {
  const json::Value* const pattern = json::find(object, "pattern");
  if (pattern == nullptr) return invalid_argument(where + ".pattern is missing");
  PatternSpec spec;
  if (pattern->is_string()) {  // a form of old files
    spec.text = std::string(pattern->get_string());
  } else {
    ASSIGN_OR_RETURN(const json::Object* const kinds, as_object(*pattern, where + ".pattern"));
    if (const json::Value* const regex = json::find(*kinds, "Regex");
        regex != nullptr && regex->is_string()) {
      spec.regex_source = std::string(regex->get_string());
      if (skip_known && find_scanner(spec.regex_source) != nullptr) return spec;
      auto compiled = Regex::compile(spec.regex_source);
      if (!compiled) return at(where + ".pattern", std::move(compiled).error());
      spec.regex = *std::move(compiled);
      return spec;
    }
    const json::Value* const text = json::find(*kinds, "String");
    if (text == nullptr || !text->is_string()) {
      return invalid_argument(where + ".pattern has neither a \"String\" nor a \"Regex\"");
    }
    spec.text = std::string(text->get_string());
  }
  if (spec.text.empty()) return unsupported(where + ".pattern is an empty string, which is not supported");
  return spec;
}

Result<bool> flag(const json::Object& object, std::string_view key, bool otherwise,
                  const std::string& where) {
  auto value = json::get_bool(object, key, otherwise);
  if (!value) return at(where, std::move(value).error());
  return value;
}

Result<std::string> text_of(const json::Object& object, std::string_view key, const std::string& where) {
  auto value = json::get_string(object, key);
  if (!value) return at(where, std::move(value).error());
  return value;
}

Result<Behavior> parse_behavior(const json::Object& object, const std::string& where, bool required) {
  if (!required && json::find(object, "behavior") == nullptr) return Behavior::kIsolated;
  ASSIGN_OR_RETURN(const std::string name, text_of(object, "behavior", where));
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  return invalid_argument(fmt::format(
      "{}.behavior is {}, expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous",
      where, json::quote(name)));
}

// One character, as UTF-8.
Result<std::string> parse_character(const json::Object& object, std::string_view key,
                                    const std::string& where) {
  ASSIGN_OR_RETURN(std::string text, text_of(object, key, where));
  if (text.empty() || text.size() != unicode::length_of(text[0])) {
    return invalid_argument(
        fmt::format("{}.{} is {}, expected one character", where, key, json::quote(text)));
  }
  return text;
}

Result<PrependScheme> parse_prepend_scheme(const json::Object& object, const std::string& where) {
  PrependScheme scheme = PrependScheme::kAlways;
  if (json::find(object, "prepend_scheme") != nullptr) {
    ASSIGN_OR_RETURN(const std::string name, text_of(object, "prepend_scheme", where));
    if (name == "first") {
      scheme = PrependScheme::kFirst;
    } else if (name == "never") {
      scheme = PrependScheme::kNever;
    } else if (name != "always") {
      return invalid_argument(
          fmt::format("{}.prepend_scheme is {}, expected first, never or always", where, json::quote(name)));
    }
  }
  // Older files say it with a flag.
  ASSIGN_OR_RETURN(const bool prefix, flag(object, "add_prefix_space", true, where));
  return prefix ? scheme : PrependScheme::kNever;
}

// Calls `add` for the object, or for each member of a Sequence, whose list stands under `list_key`.
template <class Add>
Status each_component(const json::Value& value, const std::string& where, std::string_view list_key,
                      Add&& add) {
  if (value.is_null()) return ok_status();
  ASSIGN_OR_RETURN(const json::Object* const object, as_object(value, where));
  ASSIGN_OR_RETURN(const std::string type, component_type(*object, where));
  if (type != "Sequence") return add(type, *object, where);
  ASSIGN_OR_RETURN(const json::Array* const list, get_array(*object, list_key, where));
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string item = fmt::format("{}.{}[{}]", where, list_key, i);
    if ((*list)[i].is_null()) return invalid_argument(item + " is null, expected an object");
    RETURN_IF_ERROR(each_component((*list)[i], item, list_key, add));
  }
  return ok_status();
}

Error too_many(const std::string& where) {
  return unsupported(fmt::format("{} has more than {} steps", where, kMaxSteps));
}

Result<std::unique_ptr<Normalizer>> parse_normalizer(const std::string& type, const json::Object& object,
                                                     const std::string& where) {
  if (type == "NFC") return make_form_normalizer(unicode::Form::kNfc);
  if (type == "NFD") return make_form_normalizer(unicode::Form::kNfd);
  if (type == "NFKC") return make_form_normalizer(unicode::Form::kNfkc);
  if (type == "NFKD") return make_form_normalizer(unicode::Form::kNfkd);
  if (type == "Lowercase") return make_lowercase();
  if (type == "Strip") {
    ASSIGN_OR_RETURN(const bool left, flag(object, "strip_left", true, where));
    ASSIGN_OR_RETURN(const bool right, flag(object, "strip_right", true, where));
    return make_strip(left, right);
  }
  if (type == "Prepend") {
    ASSIGN_OR_RETURN(std::string text, text_of(object, "prepend", where));
    return make_prepend(std::move(text));
  }
  if (type == "Replace") {
    ASSIGN_OR_RETURN(PatternSpec pattern, parse_pattern(object, where, false));
    ASSIGN_OR_RETURN(std::string content, text_of(object, "content", where));
    if (pattern.regex != nullptr) return make_replace(std::move(pattern.regex), std::move(content));
    return make_replace(std::move(pattern.text), std::move(content));
  }
  return unsupported_type(where, type, "NFC, NFD, NFKC, NFKD, Lowercase, Strip, Prepend, Replace, Sequence");
}

Result<std::unique_ptr<PreTokenizer>> parse_split(const json::Object& object, const std::string& where) {
  ASSIGN_OR_RETURN(const Behavior behavior, parse_behavior(object, where, true));
  ASSIGN_OR_RETURN(const bool invert, flag(object, "invert", false, where));
  // The known patterns match without gaps, so that neither inverting them nor Removed makes sense there.
  const bool scan = behavior == Behavior::kIsolated && !invert;
  ASSIGN_OR_RETURN(PatternSpec pattern, parse_pattern(object, where, scan));
  if (pattern.regex != nullptr) return make_split(std::move(pattern.regex), behavior, invert);
  if (!pattern.regex_source.empty()) return make_scan(find_scanner(pattern.regex_source));
  return make_split(std::move(pattern.text), behavior, invert);
}

Result<std::unique_ptr<PreTokenizer>> parse_pre_tokenizer(const std::string& type, const json::Object& object,
                                                          const std::string& where) {
  if (type == "Split") return parse_split(object, where);
  if (type == "Digits") {
    ASSIGN_OR_RETURN(const bool individual, flag(object, "individual_digits", false, where));
    return make_digits(individual);
  }
  if (type == "Punctuation") {
    ASSIGN_OR_RETURN(const Behavior behavior, parse_behavior(object, where, false));
    return make_punctuation(behavior);
  }
  if (type == "Whitespace") return make_whitespace();
  if (type == "WhitespaceSplit") return make_whitespace_split();
  if (type == "Metaspace") {
    ASSIGN_OR_RETURN(std::string replacement, parse_character(object, "replacement", where));
    ASSIGN_OR_RETURN(const PrependScheme scheme, parse_prepend_scheme(object, where));
    ASSIGN_OR_RETURN(const bool split, flag(object, "split", true, where));
    return make_metaspace(std::move(replacement), scheme, split);
  }
  return unsupported_type(
      where, type, "ByteLevel, Split, Digits, Metaspace, Whitespace, WhitespaceSplit, Punctuation, Sequence");
}

Result<DecoderStep> parse_decoder_step(const std::string& type, const json::Object& object,
                                       const std::string& where) {
  using Kind = DecoderStep::Kind;
  DecoderStep step;
  if (type == "ByteLevel") {
    step.kind = Kind::kByteLevel;
  } else if (type == "ByteFallback") {
    step.kind = Kind::kByteFallback;
  } else if (type == "Fuse") {
    step.kind = Kind::kFuse;
  } else if (type == "Replace") {
    step.kind = Kind::kReplace;
    ASSIGN_OR_RETURN(PatternSpec pattern, parse_pattern(object, where, false));
    ASSIGN_OR_RETURN(step.content, text_of(object, "content", where));
    step.regex = std::move(pattern.regex);
    step.pattern = std::move(pattern.text);
  } else if (type == "Strip") {
    step.kind = Kind::kStrip;
    ASSIGN_OR_RETURN(step.pattern, parse_character(object, "content", where));
    const std::array<std::pair<const char*, size_t*>, 2> ends{{{"start", &step.start}, {"stop", &step.stop}}};
    for (const auto& [key, out] : ends) {
      auto n = json::get_int(object, key);
      if (!n) return at(where, std::move(n).error());
      if (*n < 0) return invalid_argument(fmt::format("{}.{} is {}, expected 0 or more", where, key, *n));
      *out = static_cast<size_t>(*n);
    }
  } else if (type == "Metaspace") {
    step.kind = Kind::kMetaspace;
    ASSIGN_OR_RETURN(step.pattern, parse_character(object, "replacement", where));
    ASSIGN_OR_RETURN(const PrependScheme scheme, parse_prepend_scheme(object, where));
    step.drops_first = scheme != PrependScheme::kNever;
  } else {
    return unsupported_type(where, type,
                            "ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, Sequence");
  }
  return step;
}

Result<TokenId> parse_id(const json::Value& value, const std::string& where) {
  if (!value.is_int64() || value.get_int64() < 0 || value.get_int64() > Vocab::kMaxId) {
    return invalid_argument(
        fmt::format("{} is {}, expected a token id from 0 to {}", where, json::dump(value), Vocab::kMaxId));
  }
  return static_cast<TokenId>(value.get_int64());
}

// One entry of a template: {"Sequence": {"id": "A"}} or {"SpecialToken": {"id": "<s>"}}.
Status parse_template_piece(const json::Value& piece, const json::Object* specials, const std::string& where,
                            std::vector<TokenId>& out) {
  ASSIGN_OR_RETURN(const json::Object* const object, as_object(piece, where));
  if (const json::Value* const sequence = json::find(*object, "Sequence")) {
    ASSIGN_OR_RETURN(const json::Object* const body, as_object(*sequence, where + ".Sequence"));
    ASSIGN_OR_RETURN(const std::string id, text_of(*body, "id", where + ".Sequence"));
    if (id != "A")
      return unsupported(fmt::format("{}.Sequence.id is {}, expected A", where, json::quote(id)));
    out.push_back(kTemplateText);
    return ok_status();
  }
  const json::Value* const special = json::find(*object, "SpecialToken");
  if (special == nullptr)
    return invalid_argument(where + " has neither a \"Sequence\" nor a \"SpecialToken\"");
  ASSIGN_OR_RETURN(const json::Object* const body, as_object(*special, where + ".SpecialToken"));
  ASSIGN_OR_RETURN(const std::string id, text_of(*body, "id", where + ".SpecialToken"));
  const json::Value* const entry = specials == nullptr ? nullptr : json::find(*specials, id);
  if (entry == nullptr) {
    return invalid_argument(
        fmt::format("{} names {}, which is not in special_tokens", where, json::quote(id)));
  }
  const std::string entry_name = fmt::format("special_tokens[{}]", json::quote(id));
  ASSIGN_OR_RETURN(const json::Object* const token, as_object(*entry, entry_name));
  ASSIGN_OR_RETURN(const json::Array* const ids, get_array(*token, "ids", entry_name));
  for (const json::Value& item : *ids) {
    ASSIGN_OR_RETURN(const TokenId token_id, parse_id(item, entry_name + ".ids"));
    out.push_back(token_id);
  }
  return ok_status();
}

}  // namespace

Result<const json::Object*> as_object(const json::Value& value, const std::string& where) {
  if (const json::Object* const object = value.if_object()) return object;
  return invalid_argument(fmt::format("{} is {}, expected an object", where, json::kind_name(value)));
}

Result<const json::Array*> get_array(const json::Object& object, std::string_view key,
                                     const std::string& where) {
  const json::Value* const value = json::find(object, key);
  if (value == nullptr)
    return invalid_argument(fmt::format("{}.{} is missing, expected an array", where, key));
  if (const json::Array* const array = value->if_array()) return array;
  return invalid_argument(fmt::format("{}.{} is {}, expected an array", where, key, json::kind_name(*value)));
}

Result<std::string> component_type(const json::Object& object, const std::string& where) {
  return text_of(object, "type", where);
}

Error unsupported_type(const std::string& where, std::string_view type, std::string_view supported) {
  return unsupported(fmt::format("{}.type is {}, which is not supported; supported: {}", where,
                                 json::quote(type), supported));
}

Error at(const std::string& where, Error error) {
  error.message = fmt::format("{}: {}", where, error.message);
  return error;
}

Result<Normalizers> parse_normalizers(const json::Value& value, const std::string& where) {
  Normalizers all;
  const auto take = [&](const std::string& type, const json::Object& object,
                        const std::string& name) -> Status {
    if (all.size() == kMaxSteps) return too_many(where);
    ASSIGN_OR_RETURN(auto step, parse_normalizer(type, object, name));
    all.push_back(std::move(step));
    return ok_status();
  };
  RETURN_IF_ERROR(each_component(value, where, "normalizers", take));
  return all;
}

Result<ParsedPreTokenizers> parse_pre_tokenizers(const json::Value& value, const std::string& where) {
  ParsedPreTokenizers all;
  // ByteLevel's mapping is left to the vocabulary when nothing comes after it.
  const auto add = [&](std::unique_ptr<PreTokenizer> step) {
    if (std::exchange(all.byte_level, false)) all.steps.push_back(make_byte_alphabet());
    all.steps.push_back(std::move(step));
  };
  const auto take = [&](const std::string& type, const json::Object& object,
                        const std::string& name) -> Status {
    if (all.steps.size() >= kMaxSteps) return too_many(where);
    if (type != "ByteLevel") {
      ASSIGN_OR_RETURN(auto step, parse_pre_tokenizer(type, object, name));
      add(std::move(step));
      return ok_status();
    }
    ASSIGN_OR_RETURN(const bool prefix, flag(object, "add_prefix_space", true, name));
    ASSIGN_OR_RETURN(const bool use_regex, flag(object, "use_regex", true, name));
    if (all.byte_level) all.steps.push_back(make_byte_alphabet());
    all.byte_level = false;
    if (prefix) add(make_prefix_space());
    if (use_regex) add(make_scan(scan_gpt2));
    all.byte_level = true;
    return ok_status();
  };
  RETURN_IF_ERROR(each_component(value, where, "pretokenizers", take));
  return all;
}

Result<DecoderSteps> parse_decoder(const json::Value& value, const std::string& where) {
  DecoderSteps all;
  if (value.is_null()) {
    all.push_back({.kind = DecoderStep::Kind::kJoinWithSpaces});
    return all;
  }
  const auto take = [&](const std::string& type, const json::Object& object,
                        const std::string& name) -> Status {
    if (all.size() == kMaxSteps) return too_many(where);
    ASSIGN_OR_RETURN(auto step, parse_decoder_step(type, object, name));
    all.push_back(std::move(step));
    return ok_status();
  };
  RETURN_IF_ERROR(each_component(value, where, "decoders", take));
  return all;
}

Result<std::vector<std::vector<TokenId>>> parse_post_processor(const json::Value& value,
                                                               const std::string& where) {
  std::vector<std::vector<TokenId>> all;
  const auto take = [&](const std::string& type, const json::Object& object,
                        const std::string& name) -> Status {
    if (type == "ByteLevel") return ok_status();  // moves offsets only
    if (type != "TemplateProcessing") {
      return unsupported_type(name, type, "ByteLevel, TemplateProcessing, Sequence");
    }
    if (all.size() == kMaxSteps) return too_many(where);
    ASSIGN_OR_RETURN(const json::Array* const single, get_array(object, "single", name));
    const json::Object* specials = nullptr;
    if (const json::Value* const map = json::find(object, "special_tokens")) {
      ASSIGN_OR_RETURN(specials, as_object(*map, name + ".special_tokens"));
    }
    std::vector<TokenId> ids;
    for (size_t i = 0; i < single->size(); ++i) {
      RETURN_IF_ERROR(
          parse_template_piece((*single)[i], specials, fmt::format("{}.single[{}]", name, i), ids));
    }
    all.push_back(std::move(ids));
    return ok_status();
  };
  RETURN_IF_ERROR(each_component(value, where, "processors", take));
  return all;
}

Result<AddedToken> parse_added_token(const json::Value& value, const std::string& where) {
  ASSIGN_OR_RETURN(const json::Object* const object, as_object(value, where));
  AddedToken token;
  ASSIGN_OR_RETURN(token.content, text_of(*object, "content", where));
  ASSIGN_OR_RETURN(token.special, flag(*object, "special", false, where));
  ASSIGN_OR_RETURN(token.single_word, flag(*object, "single_word", false, where));
  ASSIGN_OR_RETURN(token.lstrip, flag(*object, "lstrip", false, where));
  ASSIGN_OR_RETURN(token.rstrip, flag(*object, "rstrip", false, where));
  ASSIGN_OR_RETURN(token.normalized, flag(*object, "normalized", !token.special, where));
  return token;
}

}  // namespace pegainfer
