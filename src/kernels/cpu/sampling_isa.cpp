#include <limits>

#include "kernels/cpu/row_scan.h"
#include "kernels/cpu/sampling.h"
#include "kernels/cpu/sampling_layout.h"
#include "kernels/cpu/vec.h"

namespace pegainfer::cpu::PEGA_ISA {
namespace {

// The tokens still in play, in id order: logits, ids and (once computed) weights exp((logit - max) /
// temperature).
struct Kept {
  float* logits;
  int32_t* ids;
  float* weights;
  float* block_maxima;
  int64_t n = 0;
  double mass = 0;  // of all that top_p is a part of
};

// A total order of floats as integers, so that a threshold can be bisected.
PEGA_INLINE int32_t order_key(float x) {
  const int32_t bits = __builtin_bit_cast(int32_t, x);
  return bits ^ (bits >> 31 & 0x7fffffff);
}
PEGA_INLINE float from_key(int32_t key) { return __builtin_bit_cast(float, key ^ (key >> 31 & 0x7fffffff)); }

// Sum of weights where logit >= threshold, in a fixed order.
double mass_from(const float* logits, const float* weights, int64_t n, float threshold) {
  SumF64 sum;
  const Vf t = broadcast(threshold);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    add_to(sum, select(load(logits + i) >= t, load(weights + i), broadcast(0)));
  double total = reduce(sum);
  for (; i < n; ++i) total += logits[i] >= threshold ? static_cast<double>(weights[i]) : 0.0;
  return total;
}

double count_from(const float* logits, int64_t n, float threshold) {
  int64_t count = 0;
  const Vf t = broadcast(threshold);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) count += __builtin_popcount(bits_of(load(logits + i) >= t));
  for (; i < n; ++i) count += logits[i] >= threshold ? 1 : 0;
  return static_cast<double>(count);
}

// The largest value t for which measure(t), which falls with t, is still >= target; `low` when none is.
template <class Measure>
PEGA_INLINE float bisect_threshold(float low, float high, double target, Measure measure) {
  int32_t lo = order_key(low);
  int32_t hi = order_key(high);
  while (lo < hi) {
    const auto mid = static_cast<int32_t>((int64_t{lo} + int64_t{hi} + 1) >> 1);
    if (measure(from_key(mid)) >= target) {
      lo = mid;
    } else {
      hi = mid - 1;
    }
  }
  return from_key(lo);
}

// Takes the logits >= threshold of a whole row.
void collect(const float* logits, int64_t n, float threshold, Kept& kept) {
  kept.n = 0;
  const Vf t = broadcast(threshold);
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t left = n - i;
    uint32_t bits = bits_of(load_upto(logits + i, left) >= t);
    if (left < kLanes) bits &= (1U << static_cast<unsigned>(left)) - 1U;
    for (; bits != 0; bits &= bits - 1) {
      const int64_t at = i + __builtin_ctz(bits);
      kept.logits[kept.n] = logits[at];
      kept.ids[kept.n] = static_cast<int32_t>(at);
      ++kept.n;
    }
  }
}

PEGA_INLINE void keep_only(Kept& kept, int64_t& to, int64_t from) {
  kept.logits[to] = kept.logits[from];
  kept.ids[to] = kept.ids[from];
  kept.weights[to] = kept.weights[from];
  ++to;
}

// Below every one of the k largest logits: k blocks have a maximum at least as large.
float top_k_bound(const float* logits, int64_t n, int64_t k, float largest, float* maxima) {
  const int64_t blocks = (n + kMaxBlock - 1) / kMaxBlock;
  if (k > blocks) return -std::numeric_limits<float>::infinity();
  for (int64_t b = 0; b < blocks; ++b)
    maxima[b] = max_of(logits + b * kMaxBlock, lesser(kMaxBlock, n - b * kMaxBlock));
  return bisect_threshold(-std::numeric_limits<float>::infinity(), largest, static_cast<double>(k),
                          [&](float t) { return count_from(maxima, blocks, t); });
}

void keep_top_k(const float* logits, int64_t n, int64_t k, float largest, Kept& kept) {
  const float bound = top_k_bound(logits, n, k, largest, kept.block_maxima);
  collect(logits, n, bound, kept);
  const float kth = bisect_threshold(bound, largest, static_cast<double>(k),
                                     [&](float t) { return count_from(kept.logits, kept.n, t); });
  int64_t above = 0;
  for (int64_t i = 0; i < kept.n; ++i) above += kept.logits[i] > kth ? 1 : 0;
  int64_t ties = k - above;
  int64_t to = 0;
  for (int64_t i = 0; i < kept.n; ++i) {
    const bool tie = kept.logits[i] == kth && ties > 0;
    if (kept.logits[i] > kth || tie) keep_only(kept, to, i);
    ties -= tie ? 1 : 0;
  }
  kept.n = to;
}

void keep_min_p(float min_p, Kept& kept) {
  int64_t to = 0;
  for (int64_t i = 0; i < kept.n; ++i) {
    if (kept.weights[i] >= min_p) keep_only(kept, to, i);
  }
  kept.n = to;
}

void keep_top_p(float top_p, float largest, Kept& kept) {
  const float lowest = -std::numeric_limits<float>::infinity();
  const double target = static_cast<double>(top_p) * kept.mass;
  const float threshold = bisect_threshold(
      lowest, largest, target, [&](float t) { return mass_from(kept.logits, kept.weights, kept.n, t); });
  double mass = 0;
  for (int64_t i = 0; i < kept.n; ++i) {
    mass += kept.logits[i] > threshold ? static_cast<double>(kept.weights[i]) : 0.0;
  }
  int64_t to = 0;
  bool first_tie = true;  // one at least: rounding must not leave the set empty
  for (int64_t i = 0; i < kept.n; ++i) {
    const bool tie = kept.logits[i] == threshold && (first_tie || mass < target);
    if (tie) mass += static_cast<double>(kept.weights[i]);
    if (kept.logits[i] > threshold || tie) keep_only(kept, to, i);
    first_tie = first_tie && !tie;
  }
  kept.n = to;
}

void compute_weights(const float* logits, int64_t n, float largest, float temperature, float* weights) {
  const Vf top = broadcast(largest);
  const Vf t = broadcast(temperature);
  for (int64_t i = 0; i < n; i += kLanes) {
    store_upto(weights + i, exp((load_upto(logits + i, n - i) - top) / t), n - i);
  }
}

constexpr int64_t kDrawBlock = 256;

double block_mass(const float* weights, int64_t n) {
  SumF64 sum;
  for (int64_t i = 0; i < n; i += kLanes) add_to(sum, load_upto(weights + i, n - i));
  return reduce(sum);
}

// Index of the weight where the cumulative sum passes uniform * total; never one without weight.
int64_t draw(const float* weights, int64_t n, double uniform) {
  double total = 0;
  for (int64_t b = 0; b < n; b += kDrawBlock) total += block_mass(weights + b, lesser(kDrawBlock, n - b));
  const double target = uniform * total;
  double sum = 0;
  double before = 0;  // of the chosen block
  int64_t block = 0;
  for (int64_t b = 0; b < n && !(sum > target); b += kDrawBlock) {
    const double mass = block_mass(weights + b, lesser(kDrawBlock, n - b));
    if (mass > 0) {
      block = b;
      before = sum;
    }
    sum += mass;
  }
  int64_t last = block;  // rounding may leave the sum just short of the target
  for (int64_t i = block; i < n && i < block + kDrawBlock; ++i) {
    if (weights[i] > 0) last = i;
    before += static_cast<double>(weights[i]);
    if (before > target) break;
  }
  return last;
}

// What top_p may keep of a whole row: all of it, or less when a cheap threshold already holds that mass.
void collect_for_top_p(const float* logits, int64_t n, float largest, const SampleRow& row, Kept& kept) {
  constexpr float kDistances[] = {3, 6, 10, 14};
  compute_weights(logits, n, largest, row.temperature, kept.weights);
  kept.mass = block_mass(kept.weights, n);
  const double target = static_cast<double>(row.top_p) * kept.mass;
  float bound = -std::numeric_limits<float>::infinity();
  for (int i = 0; i < 4; ++i) {
    const float t = largest - kDistances[i] * row.temperature;
    if (mass_from(logits, kept.weights, n, t) >= target) {
      bound = t;
      break;
    }
  }
  collect(logits, n, bound, kept);
  compute_weights(kept.logits, kept.n, largest, row.temperature, kept.weights);
}

// The tokens that the row's filters leave, with weights; at least one filter is on.
void filter(const float* logits, int64_t n, float largest, const SampleRow& row, Kept& kept) {
  const bool top_k = row.top_k > 0 && row.top_k < n;
  if (!top_k && row.min_p <= 0) {
    collect_for_top_p(logits, n, largest, row, kept);
  } else {
    if (top_k) {
      keep_top_k(logits, n, row.top_k, largest, kept);
    } else {  // a little below what min_p keeps; the weights decide
      const float below = __builtin_logf(row.min_p) - 0.01F;
      collect(logits, n, largest + below * row.temperature - 1e-5F * __builtin_fabsf(largest), kept);
    }
    compute_weights(kept.logits, kept.n, largest, row.temperature, kept.weights);
    if (row.min_p > 0) keep_min_p(row.min_p, kept);
    kept.mass = block_mass(kept.weights, kept.n);
  }
  if (row.top_p < 1) keep_top_p(row.top_p, largest, kept);
}

int32_t sample(const float* logits, int64_t n, const SampleRow& row, std::byte* scratch) {
  const float largest = max_of(logits, n);
  if (has_nan(logits, n) || !(largest < std::numeric_limits<float>::infinity()) ||
      !(largest > -std::numeric_limits<float>::infinity())) {
    return -1;
  }
  if (row.temperature <= 0) return static_cast<int32_t>(first_equal(logits, n, largest));

  auto* floats = reinterpret_cast<float*>(scratch);
  const int64_t padded = padded_vocab(n);
  Kept kept{.logits = floats,
            .ids = reinterpret_cast<int32_t*>(floats + padded),
            .weights = floats + 2 * padded,
            .block_maxima = floats + 3 * padded};
  if (row.top_k > 0 || row.min_p > 0 || row.top_p < 1) {
    filter(logits, n, largest, row, kept);
    return kept.ids[draw(kept.weights, kept.n, row.uniform)];
  }
  compute_weights(logits, n, largest, row.temperature, kept.weights);
  return static_cast<int32_t>(draw(kept.weights, n, row.uniform));
}

}  // namespace

extern const SamplingKernels kSamplingKernels;
const SamplingKernels kSamplingKernels{sample};

}  // namespace pegainfer::cpu::PEGA_ISA
