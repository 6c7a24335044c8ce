#include "bench/workload.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "bench/random.h"

namespace pegainfer::bench {
namespace {

constexpr uint64_t kMaxDatasetBytes = 1ULL << 30U;
constexpr int kMaxLength = 1 << 24;
// Streams of one seed that must not depend on each other: more prompts do not change the arrivals.
constexpr uint64_t kArrivalStream = 0x61727269;
constexpr uint64_t kPrefixStream = 0x70726566;

constexpr std::array kWords = std::to_array<std::string_view>(
    {"time",     "year",  "people", "way",    "day",   "man",     "thing",  "woman",
     "life",     "child", "world",  "school", "state", "family",  "group",  "country",
     "hand",     "part",  "place",  "case",   "week",  "company", "system", "program",
     "question", "work",  "number", "night",  "point", "home",    "water",  "room"});

Status check(const RandomOptions& o) {
  if (o.num_prompts < 1) return invalid_argument("--num-prompts must be at least 1", "--num-prompts");
  if (o.input_len < 1 || o.input_len > kMaxLength)
    return invalid_argument("--random-input-len must be at least 1", "--random-input-len");
  if (o.output_len < 1 || o.output_len > kMaxLength)
    return invalid_argument("--random-output-len must be at least 1", "--random-output-len");
  if (!(o.range_ratio >= 0 && o.range_ratio < 1))
    return invalid_argument("--random-range-ratio must be in [0, 1)", "--random-range-ratio");
  if (o.prefix_len < 0 || o.prefix_len > kMaxLength)
    return invalid_argument("--random-prefix-len must not be negative", "--random-prefix-len");
  return ok_status();
}

int draw_length(Rng& rng, int length, double ratio) {
  const int low = std::max(1, static_cast<int>(std::floor(length * (1 - ratio))));
  const int high = std::max(low, static_cast<int>(std::ceil(length * (1 + ratio))));
  return rng.between(low, high);
}

// Calls `prompt(rng, request)` for each request, its lengths being drawn.
template <class MakePrompt>
Result<std::vector<BenchRequest>> make_requests(const RandomOptions& options, const MakePrompt& prompt) {
  RETURN_IF_ERROR(check(options));
  Rng rng(options.seed);
  std::vector<BenchRequest> requests(static_cast<size_t>(options.num_prompts));
  for (BenchRequest& request : requests) {
    request.prompt_len = draw_length(rng, options.input_len, options.range_ratio) + options.prefix_len;
    request.output_len = draw_length(rng, options.output_len, options.range_ratio);
    prompt(rng, request);
  }
  return requests;
}

TokenId draw_id(Rng& rng, const IdRange& range) {
  return range.first_id + static_cast<TokenId>(rng.below(static_cast<uint64_t>(range.num_ids)));
}

// Ids of tokens that are a space and a small-letter word and that encode to themselves: whatever tokenizer
// splits at words gives a text of them back as it was.
std::vector<std::string> stable_words(const Tokenizer& tokenizer) {
  constexpr size_t kEnough = 4096;
  std::vector<std::string> words;
  for (TokenId id = 0; id < tokenizer.vocab_size() && words.size() < kEnough; ++id) {
    std::string bytes = tokenizer.token_bytes(id);
    if (bytes.size() < 3 || bytes.front() != ' ' || tokenizer.is_special(id)) continue;
    if (!std::all_of(bytes.begin() + 1, bytes.end(), [](char c) { return c >= 'a' && c <= 'z'; })) continue;
    const std::vector<TokenId> ids = tokenizer.encode(bytes, {.add_special_tokens = false});
    if (ids.size() == 1 && ids.front() == id) words.push_back(std::move(bytes));
  }
  return words;
}

std::string draw_text(Rng& rng, int count, const std::vector<std::string>& words) {
  std::string text;
  for (int i = 0; i < count; ++i) text += words[rng.below(words.size())];
  return text;
}

// Words are added or dropped until the count is right; with the tokenizers known it is so at once.
std::string text_of_length(Rng& rng, std::string prefix, int length, const std::vector<std::string>& words,
                           const Tokenizer& tokenizer) {
  constexpr int kTries = 16;
  std::string text = std::move(prefix);
  for (int i = 0; i < kTries; ++i) {
    const auto missing = length - static_cast<int>(tokenizer.encode(text).size());
    if (missing == 0) break;
    if (missing > 0) {
      text += draw_text(rng, missing, words);
      continue;
    }
    for (int k = 0; k < -missing && text.rfind(' ') != std::string::npos; ++k) text.erase(text.rfind(' '));
  }
  return text;
}

// `use(object, line number)` for every line that is not empty.
template <class Use>
Status each_line(const std::string& path, const Use& use) {
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path, kMaxDatasetBytes));
  std::string_view rest = text;
  for (int number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto value = json::parse(line);
    if (!value) return invalid_argument(fmt::format("{}:{}: {}", path, number, value.error().message));
    if (!value->is_object())
      return invalid_argument(fmt::format("{}:{}: a line is a JSON object", path, number));
    if (const Status used = use(value->get_object()); !used)
      return invalid_argument(fmt::format("{}:{}: {}", path, number, used.error().message));
  }
  return ok_status();
}

Result<int> length_field(const json::Object& object, std::string_view key, int64_t otherwise) {
  ASSIGN_OR_RETURN(const int64_t value, json::get_int(object, key, otherwise));
  if (value < 1 || value > kMaxLength)
    return invalid_argument(fmt::format("{} is {}; it must be 1 to {}", key, value, kMaxLength));
  return static_cast<int>(value);
}

}  // namespace

Result<std::vector<BenchRequest>> random_ids(const RandomOptions& options, const IdRange& range) {
  Rng prefix_rng(options.seed ^ kPrefixStream);
  std::vector<TokenId> prefix;
  prefix.reserve(static_cast<size_t>(options.prefix_len));
  for (int i = 0; i < options.prefix_len; ++i) prefix.push_back(draw_id(prefix_rng, range));
  return make_requests(options, [&](Rng& rng, BenchRequest& request) {
    request.prompt = prefix;
    while (static_cast<int>(request.prompt.size()) < request.prompt_len)
      request.prompt.push_back(draw_id(rng, range));
  });
}

Result<std::vector<BenchRequest>> random_text(const RandomOptions& options, const Tokenizer& tokenizer) {
  const std::vector<std::string> words = stable_words(tokenizer);
  if (words.empty())
    return invalid_argument("the tokenizer has no tokens that are plain words; leave --tokenizer out");
  Rng prefix_rng(options.seed ^ kPrefixStream);
  const std::string prefix =
      options.prefix_len > 0 ? text_of_length(prefix_rng, {}, options.prefix_len, words, tokenizer) : "";
  return make_requests(options, [&](Rng& rng, BenchRequest& request) {
    request.text = text_of_length(rng, prefix, request.prompt_len, words, tokenizer);
    request.prompt = tokenizer.encode(request.text);
    request.prompt_len = static_cast<int>(request.prompt.size());
  });
}

Result<std::vector<BenchRequest>> random_words(const RandomOptions& options) {
  const auto append = [](Rng& rng, int count, std::string& text) {
    for (int i = 0; i < count; ++i) {
      if (!text.empty()) text += ' ';
      text += kWords.at(rng.below(kWords.size()));
    }
  };
  Rng prefix_rng(options.seed ^ kPrefixStream);
  std::string prefix;
  append(prefix_rng, options.prefix_len, prefix);
  return make_requests(options, [&](Rng& rng, BenchRequest& request) {
    request.text = prefix;
    append(rng, request.prompt_len - options.prefix_len, request.text);
  });
}

Result<std::vector<BenchRequest>> custom_dataset(const std::string& path, int num_prompts, int output_len) {
  std::vector<BenchRequest> requests;
  RETURN_IF_ERROR(each_line(path, [&](const json::Object& object) -> Status {
    if (static_cast<int>(requests.size()) >= num_prompts) return ok_status();
    BenchRequest request;
    ASSIGN_OR_RETURN(request.text, json::get_string(object, "prompt"));
    ASSIGN_OR_RETURN(request.output_len, length_field(object, "output_tokens", output_len));
    requests.push_back(std::move(request));
    return ok_status();
  }));
  if (requests.empty()) return invalid_argument(path + ": no prompts", "--dataset-path");
  return requests;
}

Result<std::vector<BenchRequest>> trace_dataset(const std::string& path, const IdRange& range,
                                                uint64_t seed) {
  Rng rng(seed);
  std::vector<BenchRequest> requests;
  RETURN_IF_ERROR(each_line(path, [&](const json::Object& object) -> Status {
    BenchRequest request;
    ASSIGN_OR_RETURN(request.arrival, json::get_number(object, "arrival_s"));
    if (!(request.arrival >= 0 && std::isfinite(request.arrival)))
      return invalid_argument("arrival_s must not be negative");
    ASSIGN_OR_RETURN(request.prompt_len, length_field(object, "prompt_tokens", 0));
    ASSIGN_OR_RETURN(request.output_len, length_field(object, "output_tokens", 0));
    for (int i = 0; i < request.prompt_len; ++i) request.prompt.push_back(draw_id(rng, range));
    requests.push_back(std::move(request));
    return ok_status();
  }));
  if (requests.empty()) return invalid_argument(path + ": no requests", "--trace");
  std::ranges::stable_sort(requests, {}, &BenchRequest::arrival);
  return requests;
}

void set_arrivals(std::vector<BenchRequest>& requests, double rate, double burstiness, uint64_t seed) {
  if (!std::isfinite(rate)) {
    for (BenchRequest& request : requests) request.arrival = 0;
    return;
  }
  Rng rng(seed ^ kArrivalStream);
  double time = 0;
  for (BenchRequest& request : requests) request.arrival = (time += rng.gamma(burstiness));
  const double scale = time > 0 ? static_cast<double>(requests.size()) / rate / time : 0;
  for (BenchRequest& request : requests) request.arrival *= scale;
}

}  // namespace pegainfer::bench
