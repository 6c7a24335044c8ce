#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "base/check.h"

namespace pegainfer {

namespace {

// theta^(2i / dim): one F32 rounding of the exponent, one of the power.
std::vector<float> position_wavelengths(double theta, int dim) {
  std::vector<float> out;
  for (int i = 0; i < dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(dim);
    out.push_back(static_cast<float>(std::pow(theta, static_cast<double>(exponent))));
  }
  return out;
}

std::vector<float> inverse(const std::vector<float>& wavelengths) {
  std::vector<float> out(wavelengths.size());
  std::transform(wavelengths.begin(), wavelengths.end(), out.begin(), [](float w) { return 1.0F / w; });
  return out;
}

// Llama 3.1: long wavelengths are divided by `factor`, short ones kept, those between are blended.
void apply_llama3(const RopeConfig& rope, double old_context, std::vector<float>& inv_freq) {
  const auto low_wavelen = static_cast<float>(old_context / rope.low_freq_factor);
  const auto high_wavelen = static_cast<float>(old_context / rope.high_freq_factor);
  const auto factor = static_cast<float>(rope.factor);
  const auto low = static_cast<float>(rope.low_freq_factor);
  const auto range = static_cast<float>(rope.high_freq_factor - rope.low_freq_factor);
  for (float& f : inv_freq) {
    const float wavelen = static_cast<float>(2 * std::numbers::pi) / f;
    if (wavelen < high_wavelen) continue;
    if (wavelen > low_wavelen) {
      f = f / factor;
      continue;
    }
    const float smooth = (static_cast<float>(old_context) / wavelen - low) / range;
    f = (1.0F - smooth) * f / factor + smooth * f;
  }
}

// The dimension whose wave turns `rotations` times within the original context.
double yarn_correction_dim(double rotations, int dim, double theta, double old_context) {
  return dim * std::log(old_context / (rotations * 2 * std::numbers::pi)) / (2 * std::log(theta));
}

std::pair<double, double> yarn_correction_range(const RopeConfig& rope, int dim, double old_context) {
  double low = yarn_correction_dim(rope.beta_fast, dim, rope.theta, old_context);
  double high = yarn_correction_dim(rope.beta_slow, dim, rope.theta, old_context);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;  // as the reference does, against a division by zero
  return {low, high};
}

// YaRN: below `low` dimensions turn as they were trained, above `high` they are interpolated, a ramp between.
std::vector<float> yarn_frequencies(const RopeConfig& rope, int dim, double old_context) {
  const auto [low, high] = yarn_correction_range(rope, dim, old_context);
  const std::vector<float> wavelengths = position_wavelengths(rope.theta, dim);
  std::vector<float> out;
  for (size_t i = 0; i < wavelengths.size(); ++i) {
    const float linear = (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
    const float extrapolated = 1.0F - std::clamp(linear, 0.0F, 1.0F);
    const float interpolation = 1.0F / (static_cast<float>(rope.factor) * wavelengths[i]);
    const float extrapolation = 1.0F / wavelengths[i];
    out.push_back(interpolation * (1.0F - extrapolated) + extrapolation * extrapolated);
  }
  return out;
}

double yarn_attention_factor(const RopeConfig& rope) {
  if (rope.attention_factor) return *rope.attention_factor;
  const auto scale = [&](double mscale) {
    return rope.factor <= 1 ? 1.0 : 0.1 * mscale * std::log(rope.factor) + 1.0;
  };
  const double mscale = rope.mscale.value_or(0);
  const double all_dim = rope.mscale_all_dim.value_or(0);
  if (mscale != 0 && all_dim != 0) return scale(mscale) / scale(all_dim);
  return scale(1.0);
}

}  // namespace

RopeFrequencies compute_rope(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  const int dim = config.head_dim;
  CHECK(dim > 0 && dim % 2 == 0, "head_dim {}", dim);
  const double old_context = rope.original_max_position_embeddings > 0 ? rope.original_max_position_embeddings
                                                                       : config.max_position_embeddings;
  RopeFrequencies out;
  out.inv_freq = inverse(position_wavelengths(rope.theta, dim));
  switch (rope.type) {
    case RopeType::kDefault: break;
    case RopeType::kLinear:
      for (float& f : out.inv_freq) f /= static_cast<float>(rope.factor);
      break;
    case RopeType::kLlama3: apply_llama3(rope, old_context, out.inv_freq); break;
    case RopeType::kYarn:
      out.inv_freq = yarn_frequencies(rope, dim, old_context);
      out.attention_factor = static_cast<float>(yarn_attention_factor(rope));
      break;
  }
  if (!rope.freq_factors.empty()) {
    CHECK(rope.freq_factors.size() == out.inv_freq.size(), "{} factors for {} frequencies",
          rope.freq_factors.size(), out.inv_freq.size());
    for (size_t i = 0; i < out.inv_freq.size(); ++i) out.inv_freq[i] /= rope.freq_factors[i];
  }
  return out;
}

}  // namespace pegainfer
