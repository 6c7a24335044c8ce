// As sampling: a cluster of CTAs a row, a slice each in shared memory. The largest entries are ranked among
// the few values above a bound; where there is none, each CTA finds those of its slice, the first CTA ranks
// all.
#include "kernels/cuda/sampling/candidates.cuh"
#include "kernels/cuda/sampling/launch_rows.h"
#include "kernels/cuda/sampling/logprobs.h"
#include "kernels/cuda/sampling/sample.h"

namespace pegainfer::cuda {
namespace {

constexpr int kMaxTop = LogprobsParams::kMaxTop;
constexpr uint64_t kRanked = 256;  // candidates: more than that are not compared with each other

struct alignas(16) LogprobsShared {
  RowShared group;
  union {
    uint64_t tops[kMaxCluster][kMaxTop];  // of each CTA, in the first one's memory
    uint64_t order[kRanked];
  };
  Candidates candidates;
};

__device__ __forceinline__ float nan_value() { return __int_as_float(0x7fc00000); }

// The largest candidate of this thread's values below `bound`; NaNs are passed over.
__device__ uint64_t best_below(const RowView& view, uint64_t bound) {
  uint64_t best = 0;
  view.each([&](float x, int id) {
    const uint64_t c = x == x ? candidate(x, static_cast<uint32_t>(id)) : 0;
    if (c < bound && c > best) best = c;
  });
  return best;
}

// The largest entries when at most kRanked values can be among them, at least top_n: a thread each.
__device__ void rank_candidates(const LogprobsParams& p, LogprobsShared& shared, int count, int64_t row,
                                double norm) {
  const auto thread = static_cast<int>(threadIdx.x);
  uint64_t mine = 0;
  if (thread < count) {
    mine = candidate(shared.candidates.x[thread], static_cast<uint32_t>(shared.candidates.ids[thread]));
    shared.order[thread] = mine;
  }
  __syncthreads();
  if (thread >= count) return;
  int rank = 0;
#pragma unroll 4
  for (int i = 0; i < count; ++i) rank += shared.order[i] > mine ? 1 : 0;
  if (rank >= p.top_n) return;
  p.top_ids[row * p.top_ids_stride + rank] = static_cast<int32_t>(id_of(mine));
  p.top_logprobs[row * p.top_logprobs_stride + rank] =
      static_cast<float>(static_cast<double>(value_of(mine)) - norm);
}

// The top_n largest candidates of this CTA's slice, into the first CTA's memory; 0 where there are no more.
__device__ void find_tops(const RowGroup& group, LogprobsShared& shared, const RowView& view, int top_n) {
  RowGroup here = group.alone();
  uint64_t* to = (group.size() > 1 ? in_cta(&shared, 0) : &shared)->tops[group.rank()];
  uint64_t mine = best_below(view, ~uint64_t{0});
  for (int i = 0; i < top_n; ++i) {
    const uint64_t best = here.max(mine);
    if (threadIdx.x == 0) to[i] = best;
    if (best != 0 && mine == best) mine = best_below(view, best);  // one thread
  }
}

// Every candidate's rank among those of all CTAs.
__device__ void rank_tops(const LogprobsParams& p, const LogprobsShared& shared, int ctas, int64_t row,
                          double norm) {
  int32_t* ids = p.top_ids + row * p.top_ids_stride;
  float* values = p.top_logprobs + row * p.top_logprobs_stride;
  const auto thread = static_cast<int>(threadIdx.x);
  const int count = ctas * p.top_n;
  for (int at = thread; at < count; at += kRowThreads) {
    const uint64_t c = shared.tops[at / p.top_n][at % p.top_n];
    if (c == 0) continue;
    int rank = 0;
    for (int r = 0; r < ctas; ++r) {
      for (int i = 0; i < p.top_n && shared.tops[r][i] > c; ++i) ++rank;
    }
    if (rank >= p.top_n) continue;
    ids[rank] = static_cast<int32_t>(id_of(c));
    values[rank] = static_cast<float>(static_cast<double>(value_of(c)) - norm);
  }
  if (thread < p.top_n) {  // what a row with too few values leaves open
    int filled = 0;
    for (int r = 0; r < ctas; ++r) {
      for (int i = 0; i < p.top_n; ++i) filled += shared.tops[r][i] != 0 ? 1 : 0;
    }
    if (thread >= filled) {
      ids[thread] = -1;
      values[thread] = nan_value();
    }
  }
}

__global__ void __launch_bounds__(kRowThreads, 2) logprobs_kernel(LogprobsParams p, bool copy) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& shared = *reinterpret_cast<LogprobsShared*>(memory);
  auto* slice = copy ? reinterpret_cast<float*>(memory + sizeof(LogprobsShared)) : nullptr;
  const int size = cluster_size();
  const int64_t row = blockIdx.x / size;
  RowGroup group(shared.group, cluster_rank(), size);
  if (size > 1) cluster_arrive();
  let_next_start();
  wait_for_previous();

  const float* logits = p.logits + row * p.logits_stride;
  const bool whole = reinterpret_cast<uintptr_t>(logits) % 16 == 0;
  Largest mine;
  const RowView view = load_slice(logits, static_cast<int>(p.vocab), whole, group.rank(), size, slice,
                                  [&](float x, int id) { mine.see(x, id); });
  if (size > 1) cluster_wait();
  const uint64_t best = group.max(mine.result());
  uint64_t candidates = 0;
  double norm = static_cast<double>(nan_value());  // of a row that is not a distribution
  if (best != 0 && best != ~uint64_t{0}) {
    const float largest = value_of(best);
    const Weigher weigh(largest, 1);
    uint64_t units = 0;
    view.each([&](float x, int) { units += weigh(x); });
    const auto sum = static_cast<double>(group.sum(units)) * (1.0 / static_cast<double>(kWeightUnits));
    norm = static_cast<double>(largest) + log(sum);
    if (p.top_n > 0) {
      const auto n = static_cast<uint64_t>(p.top_n);
      const float bound = bound_of_count(group, mine.value, largest, n, -__builtin_huge_valf());
      candidates = gather_candidates(group, shared.candidates, view, mine.value, bound);
    }
  }
  const bool few = candidates >= static_cast<uint64_t>(p.top_n) && candidates <= kRanked;
  if (p.top_n > 0 && !few) {
    find_tops(group, shared, view, p.top_n);
    group.sync();
  }
  if (group.rank() != 0) return;
  if (threadIdx.x == 0) {
    const int32_t target = p.targets[row * p.targets_stride];
    p.out[row * p.out_stride] = target < 0 || target >= p.vocab
                                    ? nan_value()
                                    : static_cast<float>(static_cast<double>(logits[target]) - norm);
  }
  if (p.top_n == 0) return;
  if (few) {
    rank_candidates(p, shared, static_cast<int>(candidates), row, norm);
  } else {
    rank_tops(p, shared, size, row, norm);
  }
}

}  // namespace

cudaError_t logprobs(const LogprobsParams& p, cudaStream_t stream) {
  if (p.rows == 0) return cudaSuccess;
  if (p.vocab < 1 || p.vocab > kMaxRow || p.top_n < 0 || p.top_n > kMaxTop) return cudaErrorInvalidValue;
  return launch_rows<LogprobsShared>(logprobs_kernel, p, stream);
}

}  // namespace pegainfer::cuda
