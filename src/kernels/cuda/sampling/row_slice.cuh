// A part of a row in id order, and walks over it.
#pragma once

#include <cstdint>

#include "kernels/cuda/sampling/row_group.cuh"
#include "kernels/cuda/sampling/weights.cuh"

namespace pegainfer::cuda {

struct RowView {
  const float* x = nullptr;      // [count], in shared or global memory
  const int32_t* ids = nullptr;  // [count], ascending; null: first_id, first_id + 1, ...
  int first_id = 0;
  int count = 0;

  [[nodiscard]] __device__ __forceinline__ int id(int i) const {
    return ids != nullptr ? ids[i] : first_id + i;
  }
  template <class Body>
  __device__ __forceinline__ void each(Body body) const {  // body(value, id), by all threads of the CTA
    for (int i = static_cast<int>(threadIdx.x); i < count; i += kRowThreads) body(x[i], id(i));
  }
};

// A warp's contiguous share of a view, so that warp w's ids are below warp w + 1's.
struct WarpShare {
  int begin;
  int end;
  __device__ explicit WarpShare(int count) {
    const int each = ((count + kRowWarps - 1) / kRowWarps + 31) / 32 * 32;
    begin = min(count, RowGroup::warp() * each);
    end = min(count, begin + each);
  }
};

// The sum of measure(value, id) over the warp's share, in all its lanes.
template <class Measure>
__device__ uint64_t share_sum(const RowView& view, Measure measure) {
  const WarpShare share(view.count);
  uint64_t mine = 0;
#pragma unroll 4
  for (int i = share.begin + RowGroup::lane(); i < share.end; i += 32) mine += measure(view.x[i], view.id(i));
  return warp_sum_u64(mine);
}

// The id at which the sum of measure(value, id), in id order over the group, passes `target`; -1 when it does
// not. `sum` and `scan` are of the shares: the warp that holds it is known from them, and its CTA looks
// there.
template <class Measure>
__device__ int locate(RowGroup& group, const RowView& view, uint64_t target, Measure measure, uint64_t sum,
                      const RowGroup::Scan& scan) {
  Segment& segment = group.segment();
  const bool here = scan.before <= target && target - scan.before < sum;  // true in one warp of the group
  if (threadIdx.x == 0) segment.there = false;
  __syncthreads();
  if (here && RowGroup::lane() == 0) {
    const WarpShare share(view.count);
    segment = {share.begin, share.end, scan.before, true};
  }
  __syncthreads();
  uint64_t found = 0;
  if (segment.there) {
    RowGroup alone = group.alone();
    const int each = (segment.end - segment.begin + kRowThreads - 1) / kRowThreads;
    const int begin = segment.begin + static_cast<int>(threadIdx.x) * each;
    const int end = min(segment.end, begin + each);
    uint64_t mine = 0;
    for (int i = begin; i < end; ++i) mine += measure(view.x[i], view.id(i));
    const uint64_t upto = warp_upto_u64(mine);
    const uint64_t of_warp = __shfl_sync(0xffffffffU, upto, 31);
    uint64_t before = segment.before + alone.scan(of_warp).before + upto - mine;
    if (before <= target && target - before < mine) {  // one thread
      for (int i = begin; i < end && found == 0; ++i) {
        before += measure(view.x[i], view.id(i));
        if (before > target) found = static_cast<uint64_t>(view.id(i)) + 1;
      }
    }
  }
  return static_cast<int>(group.max(found)) - 1;
}
template <class Measure>
__device__ int locate(RowGroup& group, const RowView& view, uint64_t target, Measure measure) {
  const uint64_t sum = share_sum(view, measure);
  return locate(group, view, target, measure, sum, group.scan(sum));
}

// This CTA's slice of a row of n values: its share of the ids, copied to `to` when that is there, while
// `body(value, id)` sees each; a warp sees its share of them. Returns the view to walk from now on. `whole`:
// the row is aligned to 16 bytes.
template <class Body>
__device__ RowView load_slice(const float* row, int n, bool whole, int rank, int size, float* to, Body body) {
  const int each = ((n + size - 1) / size + 31) / 32 * 32;
  const int begin = min(n, rank * each);
  const int count = min(n, begin + each) - begin;
  const WarpShare share(count);
  const float* from = row + begin;
  const int whole_end = share.begin + (whole ? (share.end - share.begin) / 4 * 4 : 0);
  constexpr int kAhead = 5;
  for (int base = share.begin + 4 * RowGroup::lane(); base < whole_end; base += kAhead * 128) {
    float4 v[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (base + i * 128 < whole_end) v[i] = *reinterpret_cast<const float4*>(from + base + i * 128);
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int at = base + i * 128;
      if (at >= whole_end) continue;
      if (to != nullptr) *reinterpret_cast<float4*>(to + at) = v[i];
      const int id = begin + at;
      body(v[i].x, id), body(v[i].y, id + 1), body(v[i].z, id + 2), body(v[i].w, id + 3);
    }
  }
  for (int i = whole_end + RowGroup::lane(); i < share.end; i += 32) {
    const float x = from[i];
    if (to != nullptr) to[i] = x;
    body(x, begin + i);
  }
  return {.x = to != nullptr ? to : from, .first_id = begin, .count = count};
}

// The largest value of a thread's and the lowest id that has it; values that no row may hold are noticed.
struct Largest {
  float value = -__builtin_huge_valf();
  int id = 0x7fffffff;
  bool bad = false;  // a NaN or +infinity

  __device__ __forceinline__ void see(float x, int at) {  // ids ascend
    bad = bad || !(x < __builtin_huge_valf());
    if (x > value) {
      value = x;
      id = at;
    }
  }
  // ~0 when there was a bad one, 0 when there was nothing above -infinity.
  [[nodiscard]] __device__ uint64_t result() const {
    if (bad) return ~uint64_t{0};
    return id == 0x7fffffff ? 0 : candidate(value, static_cast<uint32_t>(id));
  }
};

}  // namespace pegainfer::cuda
