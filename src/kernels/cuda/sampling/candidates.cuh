// The few values of a row that top_k, top_p or the largest entries can be among, found without a look at the
// rest: bounds are counted, or weighed, over the largest value of each thread alone.
#pragma once

#include <cstdint>

#include "kernels/cuda/sampling/row_slice.cuh"

namespace pegainfer::cuda {

inline constexpr int kCandidates = 2048;

struct Candidates {
  float x[kCandidates];
  int32_t ids[kCandidates];
};

// A value that at least k values of the row reach, as close to the k-th as the steps allow; `otherwise` when
// none of the steps has as many. `mine` is the largest of the thread's values.
__device__ inline float bound_of_count(RowGroup& group, float mine, float largest, uint64_t k,
                                       float otherwise) {
  constexpr int kSteps = 16;
  constexpr float kDistances[kSteps] = {0.5F, 1, 1.5F, 2, 2.5F, 3, 4, 5, 6, 7, 8.5F, 10, 12, 15, 20, 30};
  uint64_t counts[kSteps / 4] = {};  // 16 bits each: a group has at most 8192 threads
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    if (mine >= largest - kDistances[j]) counts[j / 4] += uint64_t{1} << (16 * (j % 4));
  }
  group.sum(counts);
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    if ((counts[j / 4] >> (16 * (j % 4)) & 0xffffU) >= k) return fmaxf(otherwise, largest - kDistances[j]);
  }
  return otherwise;
}

// A value such that the values from it up weigh at least `part` of the row; `otherwise` when no step shows
// it. `mass` becomes the row's.
__device__ inline float bound_of_mass(RowGroup& group, const RowView& view, float mine, const Weigher& weigh,
                                      float temperature, float part, float otherwise, uint64_t& mass) {
  constexpr int kSteps = kMaxValues - 1;
  constexpr float kDistances[kSteps] = {1, 2, 3, 4.5F, 6.5F, 9, 13};
  uint64_t masses[kMaxValues] = {};
  const uint64_t of_mine = weigh(mine);
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    if (mine >= weigh.largest() - kDistances[j] * temperature) masses[j] = of_mine;
  }
  view.each([&](float x, int) { masses[kSteps] += weigh(x); });
  group.sum(masses);
  mass = masses[kSteps];
  const double target = static_cast<double>(part) * static_cast<double>(mass);
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    if (static_cast<double>(masses[j]) >= target)
      return fmaxf(otherwise, weigh.largest() - kDistances[j] * temperature);
  }
  return otherwise;
}

// How many values of the row reach the bound; when they fit, they go in id order into the memory of the
// group's first CTA, which has them once the group has met again.
__device__ inline uint64_t gather_candidates(RowGroup& group, Candidates& to, const RowView& view, float mine,
                                             float bound) {
  const WarpShare share(view.count);
  const bool some = __any_sync(0xffffffffU, mine >= bound);  // `mine` is of this warp's share
  uint64_t count = 0;
  if (some) {
#pragma unroll 4
    for (int i = share.begin + RowGroup::lane(); i < share.end; i += 32) count += view.x[i] >= bound ? 1 : 0;
  }
  const RowGroup::Scan scan = group.scan(warp_sum_u64(count));
  if (scan.total <= kCandidates && some) {
    Candidates* there = group.size() > 1 ? in_cta(&to, 0) : &to;
    auto next = static_cast<int>(scan.before);
#pragma unroll 4
    for (int begin = share.begin; begin < share.end; begin += 32) {
      const int i = begin + RowGroup::lane();
      const bool taken = i < share.end && view.x[i] >= bound;
      const unsigned all = __ballot_sync(0xffffffffU, taken);
      if (taken) {
        const int at = next + __popc(all & ((1U << RowGroup::lane()) - 1U));
        there->x[at] = view.x[i];
        there->ids[at] = view.id(i);
      }
      next += __popc(all);
    }
  }
  group.sync();
  return scan.total;
}

}  // namespace pegainfer::cuda
