// The threshold of top_k or top_p in a row: by histograms over ever narrower ranges of order keys, so exact
// and without a sort.
#pragma once

#include <cstdint>

#include "kernels/cuda/sampling/row_slice.cuh"

namespace pegainfer::cuda {

inline constexpr int kBins = 2 * kRowThreads;
inline constexpr int kBinBits = 10;
static_assert(kBins == 1 << kBinBits);

struct Histogram {  // 64-bit sums in two halves: shared memory adds 32 bits at a time
  uint32_t low[kBins];
  uint32_t high[kBins];
  uint64_t found[3];  // bin, sum above it, sum in it

  __device__ __forceinline__ void clear() {
    for (int i = static_cast<int>(threadIdx.x); i < kBins; i += kRowThreads) low[i] = high[i] = 0;
  }
  __device__ __forceinline__ void add(uint32_t bin, uint64_t v) {
    const auto part = static_cast<uint32_t>(v);
    const uint32_t carry = atomicAdd(&low[bin], part) > ~part ? 1 : 0;
    const uint32_t rest = static_cast<uint32_t>(v >> 32U) + carry;
    if (rest != 0) atomicAdd(&high[bin], rest);
  }
};

// The largest key t for which the measure of the keys >= t reaches the target.
struct Threshold {
  uint32_t key;
  uint64_t above;  // measure of the keys > t
  uint64_t at;     // of those = t
};

// The highest bin at which above + the sum from the top down to it reaches `target`; it is there.
__device__ inline void find_bin(RowGroup& group, Histogram& h, uint64_t above, uint64_t target) {
  const int top = kBins - 1 - 2 * static_cast<int>(threadIdx.x);  // this thread's two bins, descending
  uint64_t bins[2] = {0, 0};
  for (int r = 0; r < group.size(); ++r) {
    const Histogram& part = group.size() > 1 ? *in_cta(&h, r) : h;
#pragma unroll
    for (int i = 0; i < 2; ++i) bins[i] += uint64_t{part.high[top - i]} << 32U | part.low[top - i];
  }
  // Every CTA finds the same, on its own.
  RowGroup here = group.alone();
  const uint64_t upto = warp_upto_u64(bins[0] + bins[1]);
  const uint64_t of_warp = __shfl_sync(0xffffffffU, upto, 31);
  uint64_t before = above + here.scan(of_warp).before + upto - bins[0] - bins[1];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    if (before < target && before + bins[i] >= target) {
      h.found[0] = static_cast<uint64_t>(top - i);
      h.found[1] = before;
      h.found[2] = bins[i];
    }
    before += bins[i];
  }
  group.sync();
}

// Where a value stands between `low` and `high`, in bins of equal width; the highest value is in the last
// bin. Falling values never get a higher bin, however the arithmetic rounds.
struct ValueBins {
  float high;
  float scale;

  __device__ ValueBins(float low, float top)
      : high(top), scale(static_cast<float>(kBins - 1) / (top - low)) {}
  [[nodiscard]] __device__ bool usable() const { return scale > 0 && scale < __builtin_huge_valf(); }
  [[nodiscard]] __device__ __forceinline__ uint32_t operator()(float x) const {
    return static_cast<uint32_t>(kBins - 1) -
           min(static_cast<uint32_t>(kBins - 1), __float2uint_rd((high - x) * scale));
  }
  // A value below (above) all of a bin.
  [[nodiscard]] __device__ float below(uint32_t bin) const { return edge(bin) - 1.0F / scale - slack(); }
  [[nodiscard]] __device__ float above(uint32_t bin) const { return edge(bin) + slack(); }

 private:
  [[nodiscard]] __device__ float edge(uint32_t bin) const {
    return high - static_cast<float>(kBins - 1 - bin) / scale;
  }
  [[nodiscard]] __device__ float slack() const {
    return 1e-5F * (fabsf(high) + static_cast<float>(kBins) / scale);
  }
};

// The largest key within [low, high] from which up the measure reaches `target`, which is above 0 and which
// all keys >= low reach. First by value, for that spreads a row's values over the bins; then by key within a
// bin.
template <class Measure>
__device__ Threshold select(RowGroup& group, Histogram& h, const RowView& view, uint32_t low, uint32_t high,
                            uint64_t target, Measure measure) {
  uint64_t above = 0;
  const ValueBins bins(from_order_key(low), from_order_key(high));
  uint32_t value_bin = 0;
  const bool by_value = bins.usable();
  const auto count = [&](auto&& bin_of) {  // bin_of(value, key) of the values that take part, else kBins
    h.clear();
    __syncthreads();
    view.each([&](float x, int id) {
      const uint32_t key = order_key(x);
      if (key < low || key > high) return;
      const uint32_t bin = bin_of(x, key);
      const uint64_t v = bin < kBins ? measure(x, id) : 0;
      if (v != 0) h.add(bin, v);
    });
    group.sync();
    find_bin(group, h, above, target);
    above = h.found[1];
    return static_cast<uint32_t>(h.found[0]);
  };
  if (by_value) {
    value_bin = count([&](float x, uint32_t) { return bins(x); });
    low = ::max(low, order_key(bins.below(value_bin)));
    high = ::min(high, order_key(bins.above(value_bin)));
    __syncthreads();  // found[] has been read
  }
  for (;;) {
    const int shift = ::max(0, 32 - __clz(static_cast<int>(high - low)) - kBinBits);
    low += count([&](float x, uint32_t key) {
             return by_value && bins(x) != value_bin ? static_cast<uint32_t>(kBins) : (key - low) >> shift;
           })
           << shift;
    if (shift == 0) return {.key = low, .above = above, .at = h.found[2]};
    high = static_cast<uint32_t>(::min(uint64_t{high}, uint64_t{low} + (uint64_t{1} << shift) - 1));
    __syncthreads();
  }
}

}  // namespace pegainfer::cuda
