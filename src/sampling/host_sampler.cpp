#include "sampling/host_sampler.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "base/philox.h"

namespace pegainfer {
namespace {

using Candidate = HostSampler::Candidate;

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr uint32_t kXtcStream = 1;  // of the generator: its draw is not the token's

// The order of all cuts: the likeliest first, the lowest id first on a tie.
bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

// backend/ops.h, apply_penalties.
float penalized(float logit, int32_t count, const LogitsWork& work) {
  logit = logit > 0 ? logit / work.repetition : logit * work.repetition;
  logit -= work.frequency * static_cast<float>(count);
  return count > 0 ? logit - work.presence : logit;
}

double entropy(std::span<const Candidate> candidates) {
  double sum = 0;
  for (const Candidate& c : candidates)
    if (c.p > 0) sum -= c.p * std::log(c.p);
  return sum;
}

}  // namespace

HostSample HostSampler::sample(std::span<const float> raw, const HostRow& row, const LogitsWork& work,
                               const LogitsWorkList& list) {
  const HostStages& stages = *work.host;
  HostSample out{.token = -1, .mirostat_mu = stages.mirostat_mu};
  process(raw, work, list);
  if (!collect()) return out;
  if (stages.top_n_sigma > 0) keep_top_n_sigma(stages.top_n_sigma);
  weigh(temperature(row, stages));
  const double uniform = philox_uniform(row.seed, row.position);
  if (stages.mirostat.version != 0) {
    cut_for_mirostat(stages);
    const Candidate& drawn = draw(uniform);
    const double surprise = -std::log2(drawn.p);
    out.token = drawn.token;
    out.mirostat_mu -= stages.mirostat.eta * (static_cast<float>(surprise) - stages.mirostat.tau);
    return out;
  }
  if (row.min_p > 0) keep_min_p(row.min_p);
  if (row.top_k > 0) keep_top_k(row.top_k);
  if (stages.typical_p < 1) keep_typical(stages.typical_p);
  if (row.top_p < 1) keep_top_p(row.top_p);
  if (stages.xtc_probability > 0) exclude_top(row, stages);
  out.token = draw(uniform).token;
  return out;
}

void HostSampler::process(std::span<const float> raw, const LogitsWork& work, const LogitsWorkList& list) {
  logits_.assign(raw.begin(), raw.end());
  for (int i = work.first_edit; i < work.first_edit + work.num_edits; ++i) {
    const LogitEdit& edit = list.edits[static_cast<size_t>(i)];
    logits_[static_cast<size_t>(edit.token)] += edit.add;
  }
  if (work.mask >= 0) {
    const size_t words = list.masks.size() / static_cast<size_t>(list.num_masks);
    const uint32_t* mask = list.masks.data() + static_cast<size_t>(work.mask) * words;
    for (size_t i = 0; i < logits_.size(); ++i)
      if ((mask[i / 32] >> (i % 32) & 1U) == 0) logits_[i] = kNever;
  }
  for (int i = work.first_said; i < work.first_said + work.num_said; ++i) {
    const SaidToken& said = list.said[static_cast<size_t>(i)];
    float& logit = logits_[static_cast<size_t>(said.token)];
    logit = penalized(logit, said.count, work);
  }
}

// Everything that can be drawn, by token.
bool HostSampler::collect() {
  left_.clear();
  for (size_t i = 0; i < logits_.size(); ++i) {
    const float logit = logits_[i];
    if (!(logit < std::numeric_limits<float>::infinity())) return false;
    if (logit > kNever) left_.push_back({.token = static_cast<TokenId>(i), .logit = logit});
  }
  return !left_.empty();
}

void HostSampler::keep_top_n_sigma(float n) {
  double sum = 0;
  float largest = kNever;
  for (const Candidate& c : left_) {
    sum += static_cast<double>(c.logit);
    largest = std::max(largest, c.logit);
  }
  const auto count = static_cast<double>(left_.size());
  const double mean = sum / count;
  double squares = 0;
  for (const Candidate& c : left_) squares += std::pow(static_cast<double>(c.logit) - mean, 2);
  const double bound = static_cast<double>(largest) - static_cast<double>(n) * std::sqrt(squares / count);
  std::erase_if(
      left_, [&](const Candidate& c) { return static_cast<double>(c.logit) < bound && c.logit < largest; });
}

// The entropy is of the distribution at temperature 1 over what is left, as a part of what it could be.
double HostSampler::temperature(const HostRow& row, const HostStages& stages) const {
  const auto fixed = static_cast<double>(row.temperature);
  if (stages.dynatemp_range <= 0 || left_.size() < 2) return fixed;
  float largest = kNever;
  for (const Candidate& c : left_) largest = std::max(largest, c.logit);
  double mass = 0;
  double weighted = 0;
  for (const Candidate& c : left_) {
    const double x = static_cast<double>(c.logit) - static_cast<double>(largest);
    mass += std::exp(x);
    weighted += std::exp(x) * x;
  }
  const double entropy_now = std::log(mass) - weighted / mass;
  const double part = std::clamp(entropy_now / std::log(static_cast<double>(left_.size())), 0.0, 1.0);
  const auto range = static_cast<double>(stages.dynatemp_range);
  const double low = std::max(fixed - range, 0.0);
  return low + (fixed + range - low) * std::pow(part, static_cast<double>(stages.dynatemp_exponent));
}

void HostSampler::weigh(double temperature) {
  constexpr double kColdest = 1e-6;
  float largest = kNever;
  for (const Candidate& c : left_) largest = std::max(largest, c.logit);
  for (Candidate& c : left_)
    c.p = std::exp((static_cast<double>(c.logit) - static_cast<double>(largest)) /
                   std::max(temperature, kColdest));
  normalise();
}

void HostSampler::normalise() {
  double mass = 0;
  for (const Candidate& c : left_) mass += c.p;
  for (Candidate& c : left_) c.p /= mass;
}

void HostSampler::keep_min_p(float min_p) {
  double largest = 0;
  for (const Candidate& c : left_) largest = std::max(largest, c.p);
  std::erase_if(left_, [&](const Candidate& c) { return c.p < static_cast<double>(min_p) * largest; });
  normalise();
}

void HostSampler::keep_top_k(int64_t k) {
  if (k >= static_cast<int64_t>(left_.size())) return;
  std::ranges::nth_element(left_, left_.begin() + k - 1, likelier);
  left_.resize(static_cast<size_t>(k));
  std::ranges::sort(left_, {}, &Candidate::token);
  normalise();
}

// A heap and not a sort: what is kept is a small part of the vocabulary as a rule.
template <class Before, class Enough>
void HostSampler::keep_first(Before before, Enough enough) {
  const auto after = [&](const Candidate& a, const Candidate& b) { return before(b, a); };
  std::ranges::make_heap(left_, after);
  double mass = 0;
  auto end = left_.end();
  while (end != left_.begin() && (end == left_.end() || !enough(mass))) {
    std::pop_heap(left_.begin(), end, after);
    --end;
    mass += end->p;
  }
  left_.erase(left_.begin(), end);
  std::ranges::sort(left_, {}, &Candidate::token);
  normalise();
}

// Locally typical sampling (Meister et al. 2022): those whose surprise is nearest to the expected one.
void HostSampler::keep_typical(float typical_p) {
  const double expected = entropy(left_);
  const auto distance = [&](const Candidate& c) { return std::abs(-std::log(c.p) - expected); };
  keep_first(
      [&](const Candidate& a, const Candidate& b) {
        const double da = distance(a);
        const double db = distance(b);
        return da != db ? da < db : likelier(a, b);
      },
      [&](double mass) { return mass > static_cast<double>(typical_p); });
}

void HostSampler::keep_top_p(float top_p) {
  keep_first(likelier, [&](double mass) { return mass >= static_cast<double>(top_p); });
}

// XTC: sometimes all but the least likely of those at or above the threshold are left out.
void HostSampler::exclude_top(const HostRow& row, const HostStages& stages) {
  if (!(philox_uniform(row.seed, row.position, kXtcStream) < static_cast<double>(stages.xtc_probability)))
    return;
  const auto threshold = static_cast<double>(stages.xtc_threshold);
  const Candidate* last = nullptr;
  for (const Candidate& c : left_)
    if (c.p >= threshold && (last == nullptr || likelier(*last, c))) last = &c;
  if (last == nullptr) return;
  const TokenId kept = last->token;
  std::erase_if(left_, [&](const Candidate& c) { return c.p >= threshold && c.token != kept; });
  normalise();
}

// Version 1 estimates Zipf's exponent from the likeliest hundred and keeps the k tokens that give the wanted
// surprise; version 2 leaves out what would surprise more than mu.
void HostSampler::cut_for_mirostat(const HostStages& stages) {
  const auto mu = static_cast<double>(stages.mirostat_mu);
  if (stages.mirostat.version == 2) {
    const Candidate best = *std::ranges::min_element(left_, likelier);
    std::erase_if(left_, [&](const Candidate& c) { return c.token != best.token && -std::log2(c.p) > mu; });
    return normalise();
  }
  constexpr size_t kLikeliest = 100;
  std::vector<Candidate> top(std::min(kLikeliest, left_.size()));
  std::ranges::partial_sort_copy(left_, top, likelier);
  double products = 0;
  double squares = 0;
  for (size_t i = 0; i + 1 < top.size() && top[i + 1].p > 0; ++i) {
    const auto rank = static_cast<double>(i);
    const double t = std::log((rank + 2) / (rank + 1));
    products += t * std::log(top[i].p / top[i + 1].p);
    squares += t * t;
  }
  const double exponent = squares > 0 ? products / squares : 1;
  const double epsilon = exponent - 1;
  const auto vocab = static_cast<double>(logits_.size());
  const double k = std::pow(epsilon * std::exp2(mu) / (1 - std::pow(vocab, -epsilon)), 1 / exponent);
  if (k < static_cast<double>(left_.size())) keep_top_k(std::max<int64_t>(static_cast<int64_t>(k), 1));
}

// Where the cumulative probability in id order passes `uniform`, as on the device.
const Candidate& HostSampler::draw(double uniform) const {
  double sum = 0;
  const Candidate* last = &left_.front();
  for (const Candidate& c : left_) {
    if (c.p > 0) last = &c;
    sum += c.p;
    if (sum > uniform) return *last;
  }
  return *last;
}

PositionLogprobs host_logprobs(std::span<const float> raw, TokenId chosen, int top_n) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  float largest = kNever;
  bool has_nan = false;
  for (const float x : raw) {
    has_nan = has_nan || std::isnan(x);
    largest = std::max(largest, x);
  }
  double mass = 0;
  for (const float x : raw) mass += std::exp(static_cast<double>(x) - static_cast<double>(largest));
  const double log_mass = static_cast<double>(largest) + std::log(mass);
  const auto logprob = [&](TokenId id) {
    return has_nan ? kNaN : static_cast<float>(static_cast<double>(raw[static_cast<size_t>(id)]) - log_mass);
  };
  std::vector<TokenId> ids(raw.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<TokenId>(i);
  const auto count = std::min(raw.size(), static_cast<size_t>(std::max(top_n, 0)));
  const auto above = [&](TokenId a, TokenId b) {
    const float la = raw[static_cast<size_t>(a)];
    const float lb = raw[static_cast<size_t>(b)];
    return la != lb ? la > lb : a < b;
  };
  PositionLogprobs out;
  out.chosen = {chosen, chosen < 0 ? kNaN : logprob(chosen)};
  if (has_nan) return out;
  std::ranges::partial_sort(ids, ids.begin() + static_cast<std::ptrdiff_t>(count), above);
  for (size_t i = 0; i < count; ++i) out.top.push_back({ids[i], logprob(ids[i])});
  return out;
}

}  // namespace pegainfer
