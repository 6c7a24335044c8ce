// RowGroup: the CTAs that share a row of logits, each with a slice of it. Sums and maxima over all their
// threads are of integers, so they do not depend on how many CTAs there are.
#pragma once

#include <cstdint>

#include "kernels/cuda/common/cluster.cuh"
#include "kernels/cuda/common/pdl.cuh"

namespace pegainfer::cuda {

inline constexpr int kRowThreads = 512;
inline constexpr int kRowWarps = kRowThreads / 32;
inline constexpr int kMaxCluster = 16;
inline constexpr int kMaxValues = 8;  // reduced together

struct Segment {  // where something is looked for
  int begin, end;
  uint64_t before;
  bool there;
};

struct RowShared {
  Segment segment;
  uint64_t warps[kMaxValues][kRowWarps];
  uint64_t exchange[4][kMaxValues][kMaxCluster];  // two for the group, two for a CTA alone
};

__device__ __forceinline__ uint64_t warp_sum_u64(uint64_t v) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffU, v, offset);
  return v;
}
__device__ __forceinline__ uint64_t warp_max_u64(uint64_t v) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    const uint64_t other = __shfl_xor_sync(0xffffffffU, v, offset);
    v = other > v ? other : v;
  }
  return v;
}

// The sum over the lanes up to this one.
__device__ __forceinline__ uint64_t warp_upto_u64(uint64_t v) {
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const uint64_t other = __shfl_up_sync(0xffffffffU, v, offset);
    if (static_cast<int>(threadIdx.x) % 32 >= offset) v += other;
  }
  return v;
}

class RowGroup {
 public:
  __device__ RowGroup(RowShared& shared, int rank, int size) : shared_(shared), rank_(rank), size_(size) {}
  // This CTA alone. It meets in slots of its own, for others of the group may go on to their next meeting.
  [[nodiscard]] __device__ RowGroup alone() const {
    RowGroup g(shared_, 0, 1);
    g.slots_ = 2;
    return g;
  }
  [[nodiscard]] __device__ int rank() const { return rank_; }
  [[nodiscard]] __device__ int size() const { return size_; }

  __device__ void sync() const {
    if (size_ > 1) {
      cluster_sync();
    } else {
      __syncthreads();
    }
  }

  // Every thread gets the sums of v over all threads of the group.
  template <int N>
  __device__ void sum(uint64_t (&v)[N]) {
    static_assert(N <= kMaxValues);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      v[i] = warp_sum_u64(v[i]);
      if (lane() == 0) shared_.warps[i][warp()] = v[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < N; ++i) v[i] = warp_sum_u64(lane() < kRowWarps ? shared_.warps[i][lane()] : 0);
    publish(v);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      v[i] = 0;
      for (int r = 0; r < size_; ++r) v[i] += published(i, r);
    }
  }
  __device__ uint64_t sum(uint64_t one) {
    uint64_t v[1] = {one};
    sum(v);
    return v[0];
  }
  __device__ uint64_t max(uint64_t one) {
    one = warp_max_u64(one);
    if (lane() == 0) shared_.warps[0][warp()] = one;
    __syncthreads();
    uint64_t v[1] = {warp_max_u64(lane() < kRowWarps ? shared_.warps[0][lane()] : 0)};
    publish(v);
    for (int r = 0; r < size_; ++r) v[0] = published(0, r) > v[0] ? published(0, r) : v[0];
    return v[0];
  }
  // `of_warp` is the same in all lanes of a warp: the sum over the warps before this one, in the order of the
  // group, and over all of them.
  struct Scan {
    uint64_t before, total;
  };
  __device__ Scan scan(uint64_t of_warp) {
    if (lane() == 0) shared_.warps[0][warp()] = of_warp;
    __syncthreads();
    const uint64_t slot = lane() < kRowWarps ? shared_.warps[0][lane()] : 0;
    Scan scan{warp_sum_u64(lane() < warp() ? slot : 0), 0};
    uint64_t v[1] = {warp_sum_u64(slot)};
    publish(v);
    for (int r = 0; r < size_; ++r) {
      if (r < rank_) scan.before += published(0, r);
      scan.total += published(0, r);
    }
    return scan;
  }
  [[nodiscard]] __device__ Segment& segment() const { return shared_.segment; }

  static __device__ int lane() { return static_cast<int>(threadIdx.x) % 32; }
  static __device__ int warp() { return static_cast<int>(threadIdx.x) / 32; }

 private:
  // Each CTA's values to all of them. Two sets of slots take turns: one is written again only behind the
  // barrier of the other, which its readers have passed.
  template <int N>
  __device__ void publish(const uint64_t (&v)[N]) {
    parity_ ^= 1;
    const auto thread = static_cast<int>(threadIdx.x);
    if (thread < size_) {
#pragma unroll
      for (int i = 0; i < N; ++i) {
        uint64_t* slot = &shared_.exchange[slots_ + parity_][i][rank_];
        *(size_ > 1 ? in_cta(slot, thread) : slot) = v[i];
      }
    }
    sync();
  }
  [[nodiscard]] __device__ uint64_t published(int i, int rank) const {
    return shared_.exchange[slots_ + parity_][i][rank];
  }

  RowShared& shared_;
  int rank_;
  int size_;
  int slots_ = 0;
  int parity_ = 0;
};

}  // namespace pegainfer::cuda
