#include "tokenizer/normalizer.h"

#include <algorithm>
#include <utility>

#include "tokenizer/unicode.h"

namespace pegainfer {
namespace {

// Where the origin's characters may have changed in number or size, what surely stems from it is the first.
size_t first_character(std::string_view text, size_t origin) {
  return origin == 0 || text.empty() ? 0 : unicode::length_of(text[0]);
}

class FormStep final : public Normalizer {
 public:
  explicit FormStep(unicode::Form form) : form_(form) {}
  std::string_view apply(std::string_view text, std::string& buffer, size_t* origin,
                         Edits* edits) const override {
    const std::string_view out = form_.apply(text, buffer, edits);
    if (out.data() != text.data()) *origin = first_character(out, *origin);
    return out;
  }

 private:
  unicode::FormNormalizer form_;
};

class LowercaseStep final : public Normalizer {
 public:
  std::string_view apply(std::string_view text, std::string& buffer, size_t* origin,
                         Edits* edits) const override {
    buffer.clear();
    buffer.reserve(text.size());
    for (size_t i = 0; i < text.size();) {
      const unicode::Char c = unicode::decode(text.data() + i);
      const size_t before = buffer.size();
      unicode::append_lower(buffer, c.code);
      if (edits != nullptr && buffer.size() - before != c.length) {
        edits->add(i, i + c.length, before, buffer.size());
      }
      i += c.length;
    }
    *origin = first_character(buffer, *origin);
    return buffer;
  }
};

class StripStep final : public Normalizer {
 public:
  StripStep(bool left, bool right) : left_(left), right_(right) {}
  std::string_view apply(std::string_view text, std::string& /*buffer*/, size_t* origin,
                         Edits* edits) const override {
    const auto& classes = unicode::ClassTable::get();
    const auto is_space = [&](size_t at) {
      return (classes.of(unicode::decode(text.data() + at).code) & unicode::kSpace) != 0;
    };
    size_t begin = 0;
    size_t end = text.size();
    while (left_ && begin < end && is_space(begin)) begin += unicode::length_of(text[begin]);
    while (right_ && end > begin) {
      const size_t before = unicode::previous(text, end);
      if (!is_space(before)) break;
      end = before;
    }
    *origin -= std::min(*origin, begin);
    if (edits != nullptr) {
      edits->add(0, begin, 0, 0);
      edits->add(end, text.size(), end - begin, end - begin);
    }
    return text.substr(begin, end - begin);
  }

 private:
  bool left_;
  bool right_;
};

class PrependStep final : public Normalizer {
 public:
  explicit PrependStep(std::string prefix) : prefix_(std::move(prefix)) {}
  std::string_view apply(std::string_view text, std::string& buffer, size_t* origin,
                         Edits* edits) const override {
    if (text.empty() || prefix_.empty()) return text;
    buffer.assign(prefix_);
    buffer += text;
    if (*origin > 0) *origin += prefix_.size();
    if (edits != nullptr) edits->add(0, 0, 0, prefix_.size());
    return buffer;
  }

 private:
  std::string prefix_;
};

// What a match leaves shares the origin of the match's last character.
size_t origin_after_replace(std::string_view text, size_t begin, size_t end, size_t content, size_t origin) {
  if (origin == 0 || begin > 0) return std::min(origin, begin);
  const size_t last = end == 0 ? 0 : unicode::previous(text, end);
  return last < origin ? content + (origin > end ? origin - end : 0) : 0;
}

class ReplaceStringStep final : public Normalizer {
 public:
  ReplaceStringStep(std::string pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  std::string_view apply(std::string_view text, std::string& buffer, size_t* origin,
                         Edits* edits) const override {
    const size_t at = text.find(pattern_);
    if (at == std::string_view::npos) return text;
    *origin = origin_after_replace(text, at, at + pattern_.size(), content_.size(), *origin);
    buffer.clear();
    replace_all(text, pattern_, content_, buffer, edits);
    return buffer;
  }

 private:
  std::string pattern_;
  std::string content_;
};

class ReplaceRegexStep final : public Normalizer {
 public:
  ReplaceRegexStep(std::unique_ptr<Regex> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  std::string_view apply(std::string_view text, std::string& buffer, size_t* origin,
                         Edits* edits) const override {
    if (text.empty()) return text;
    if (*origin > 0) {
      Regex::Finder finder(*pattern_, text);
      Regex::Match first;
      if (finder.next(&first)) {
        *origin = origin_after_replace(text, first.begin, first.end, content_.size(), *origin);
      }
    }
    buffer.clear();
    replace_all(text, *pattern_, content_, buffer, edits);
    return buffer;
  }

 private:
  std::unique_ptr<Regex> pattern_;
  std::string content_;
};

}  // namespace

std::unique_ptr<Normalizer> make_form_normalizer(unicode::Form form) {
  return std::make_unique<FormStep>(form);
}
std::unique_ptr<Normalizer> make_lowercase() { return std::make_unique<LowercaseStep>(); }
std::unique_ptr<Normalizer> make_strip(bool left, bool right) {
  return std::make_unique<StripStep>(left, right);
}
std::unique_ptr<Normalizer> make_prepend(std::string text) {
  return std::make_unique<PrependStep>(std::move(text));
}
std::unique_ptr<Normalizer> make_replace(std::string pattern, std::string content) {
  return std::make_unique<ReplaceStringStep>(std::move(pattern), std::move(content));
}
std::unique_ptr<Normalizer> make_replace(std::unique_ptr<Regex> pattern, std::string content) {
  return std::make_unique<ReplaceRegexStep>(std::move(pattern), std::move(content));
}

std::string_view normalize(const Normalizers& normalizers, std::string_view text, std::string (&buffers)[2],
                           size_t* origin, std::vector<TextSpan>* spans) {
  int free = 0;  // the buffer that does not hold `text`
  Edits edits;
  for (const auto& step : normalizers) {
    std::string& buffer = buffers[free];
    text = step->apply(text, buffer, origin, spans == nullptr ? nullptr : &edits);
    if (spans != nullptr) {
      edits.map(*spans);
      edits.clear();
    }
    if (text.data() == buffer.data()) free = 1 - free;
  }
  return text;
}

namespace {

// Appends `text` with [begin, end) of each match that `next` finds replaced.
template <class Next>
void replace_matches(std::string_view text, std::string_view content, std::string& out, Edits* edits,
                     Next&& next) {
  const size_t start = out.size();
  size_t done = 0;
  Regex::Match match;
  while (next(done, &match)) {
    out += text.substr(done, match.begin - done);
    out += content;
    if (edits != nullptr) {
      edits->add(match.begin, match.end, out.size() - start - content.size(), out.size() - start);
    }
    done = match.end;
  }
  out += text.substr(done);
}

}  // namespace

void replace_all(std::string_view text, std::string_view pattern, std::string_view content, std::string& out,
                 Edits* edits) {
  replace_matches(text, content, out, edits, [&](size_t done, Regex::Match* match) {
    const size_t at = text.find(pattern, done);
    *match = {at, at + pattern.size()};
    return at != std::string_view::npos;
  });
}

void replace_all(std::string_view text, const Regex& pattern, std::string_view content, std::string& out,
                 Edits* edits) {
  if (text.empty()) return;
  Regex::Finder finder(pattern, text);
  replace_matches(text, content, out, edits,
                  [&](size_t /*done*/, Regex::Match* match) { return finder.next(match); });
}

}  // namespace pegainfer
