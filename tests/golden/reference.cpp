#include "reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/file.h"
#include "base/json.h"

namespace pegainfer::testing {

namespace {

// The files are ours and their shape is known: a surprise throws, and the test fails saying where.
std::vector<double> numbers(const json::Value& value) {
  std::vector<double> out;
  for (const json::Value& v : value.as_array()) out.push_back(v.to_number<double>());
  return out;
}

std::vector<TokenId> ids(const json::Value& value) {
  std::vector<TokenId> out;
  for (const json::Value& v : value.as_array()) out.push_back(v.to_number<TokenId>());
  return out;
}

ReferenceGreedy greedy(const json::Object& o) {
  ReferenceGreedy out{ids(o.at("ids")),
                      numbers(o.at("logprobs_f32")),
                      numbers(o.at("logprobs_bf16")),
                      numbers(o.at("margin_f32")),
                      {}};
  for (const json::Value& row : o.at("top5_f32").as_array()) {
    auto& top = out.top5.emplace_back();
    for (const json::Value& pair : row.as_array())
      top.emplace_back(pair.as_array().at(0).to_number<TokenId>(), pair.as_array().at(1).to_number<double>());
  }
  return out;
}

}  // namespace

Result<Reference> read_reference(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path, 16U << 20U));
  ASSIGN_OR_RETURN(const json::Value value, json::parse(text));
  const json::Object& root = value.as_object();
  Reference out;
  out.drift_mean = root.at("drift_bf16").as_object().at("mean").to_number<double>();
  out.drift_p99 = root.at("drift_bf16").as_object().at("p99").to_number<double>();
  for (const json::Value& v : root.at("prompts").as_array()) {
    const json::Object& p = v.as_object();
    ReferencePrompt prompt{
        ids(p.at("ids")), numbers(p.at("logprobs_f32")), numbers(p.at("logprobs_bf16")), {}};
    if (const json::Value* g = json::find(p, "greedy")) prompt.greedy = greedy(g->as_object());
    out.prompts.push_back(std::move(prompt));
  }
  return out;
}

void Differences::add(double measured, double expected) {
  const double d = std::abs(measured - expected);
  values_.push_back(std::isnan(d) ? std::numeric_limits<double>::infinity() : d);
}

double Differences::mean() const {
  return values_.empty()
             ? 0
             : std::accumulate(values_.begin(), values_.end(), 0.0) / static_cast<double>(values_.size());
}

double Differences::quantile(double q) const {
  if (values_.empty()) return 0;
  std::vector<double> sorted = values_;
  std::sort(sorted.begin(), sorted.end());
  return sorted[static_cast<size_t>(std::ceil(q * static_cast<double>(sorted.size()))) - 1];
}

std::string Differences::text() const {
  return fmt::format("mean {:.5f}, p99 {:.5f}, max {:.5f} over {}", mean(), quantile(0.99), max(), count());
}

}  // namespace pegainfer::testing
