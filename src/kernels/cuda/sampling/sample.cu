// A row belongs to a cluster of CTAs, each of which copies a slice of it into its shared memory on the way to
// the maximum. Greedy rows end there. Rows without filters are summed and drawn from. Rows with filters first
// look for a bound that leaves few candidates; those go, in id order, to one CTA, which finishes alone. When
// no bound does (flat distributions), all CTAs do the same work over their slices.
#include "kernels/cuda/sampling/candidates.cuh"
#include "kernels/cuda/sampling/launch_rows.h"
#include "kernels/cuda/sampling/philox.cuh"
#include "kernels/cuda/sampling/sample.h"
#include "kernels/cuda/sampling/select.cuh"

namespace pegainfer::cuda {
namespace {

constexpr int kRanked = 320;
constexpr int kNoId = 0x7fffffff;

struct Ranked {
  uint64_t order[kRanked];
  uint64_t units[kRanked];
};

struct alignas(16) SampleShared {
  RowShared group;
  union {
    Histogram histogram;
    Ranked ranked;
  };
  Candidates candidates;
};

struct RowParams {
  float temperature;
  int top_k;  // 0: off
  float top_p;
  float min_p;
  uint64_t bits;  // the draw
};

// What the filters leave: keys above `key`, those equal to it with an id below id_end, of some weight.
struct Kept {
  uint32_t key = 0;
  int id_end = kNoId;
  float min_scaled = 0;  // the weight

  __device__ __forceinline__ bool ranks(float x, int id) const {
    const uint32_t k = order_key(x);
    return k > key || (k == key && id < id_end);
  }
  __device__ __forceinline__ uint64_t units(const Weigher& weigh, float x, int id) const {
    if (!ranks(x, id)) return 0;
    const float scaled = weigh.scaled(x);
    return scaled >= min_scaled ? __float2ull_rn(scaled) : 0;
  }
};

// Values >= `value` may be kept; there are `count` of them.
struct Bound {
  float value;
  uint64_t count;
  uint64_t mass;  // of the whole row, where top_p is a part of that
};

// A little below what min_p keeps, or what has any weight; the weights decide.
__device__ float lowest_kept(const RowParams& row, const Weigher& weigh) {
  if (row.min_p <= 0) return weigh.lowest();
  const float by_min_p =
      weigh.largest() + (logf(row.min_p) - 0.01F) * row.temperature - 1e-5F * fabsf(weigh.largest());
  return fmaxf(weigh.lowest(), by_min_p);
}

// Narrows `kept` to the threshold; `each` is the measure of one value that stands on it.
template <class Measure>
__device__ void cut_at(RowGroup& group, const RowView& view, const Threshold& t, uint64_t target,
                       uint64_t each, Kept& kept, Measure measure) {
  const uint64_t taken = (target - t.above + each - 1) / each;  // of those that stand on it, by id
  int id_end = t.key == kept.key ? kept.id_end : kNoId;
  if (taken * each < t.at) {
    id_end = locate(group, view, taken * each,
                    [&](float x, int id) { return order_key(x) == t.key ? measure(x, id) : uint64_t{0}; });
  }
  kept.key = t.key;
  kept.id_end = id_end;
}

// The token of a row, drawn from what the filters leave of `view`, which holds all that they may leave.
// `mass`: of the row, when neither top_k nor min_p is on.
__device__ __noinline__ int filter_and_draw(RowGroup& group, Histogram& histogram, const RowView& view,
                                            const RowParams& row, const Weigher& weigh, const Bound& bound) {
  const uint32_t low = order_key(bound.value);
  const uint32_t high = order_key(weigh.largest());
  Kept kept;
  if (row.top_k > 0 && bound.count > static_cast<uint64_t>(row.top_k)) {
    const auto k = static_cast<uint64_t>(row.top_k);
    const auto one = [](float, int) { return uint64_t{1}; };
    cut_at(group, view, select(group, histogram, view, low, high, k, one), k, 1, kept, one);
  }
  kept.min_scaled = row.min_p * kWeightUnits;
  uint64_t mass = bound.mass;
  const auto measure = [&](float x, int id) { return kept.units(weigh, x, id); };
  if (row.top_k > 0 || row.min_p > 0) {
    uint64_t mine = 0;
    view.each([&](float x, int id) { mine += measure(x, id); });
    mass = group.sum(mine);
  }
  if (row.top_p < 1) {
    const auto part = static_cast<uint64_t>(ceil(static_cast<double>(row.top_p) * static_cast<double>(mass)));
    const uint64_t target = part > 0 ? part : 1;  // one at least
    const Threshold t = select(group, histogram, view, low, high, target, measure);
    const uint64_t each = weigh(from_order_key(t.key));
    const Kept before = kept;
    cut_at(group, view, t, target, each, kept, [&](float x, int id) { return before.units(weigh, x, id); });
    const uint64_t taken = (target - t.above + each - 1) / each;
    mass = t.above + taken * each;
  }
  return locate(group, view, share_of(row.bits, mass), measure);
}

// The same for at most kRanked candidates: a thread each, which counts those before it.
__device__ __noinline__ int draw_ranked(RowGroup& group, Ranked& ranked, const RowView& view,
                                        const RowParams& row, const Weigher& weigh, uint64_t mass) {
  const auto thread = static_cast<int>(threadIdx.x);
  const bool active = thread < view.count;
  float scaled = 0;
  uint64_t order = 0;
  if (active) {
    scaled = weigh.scaled(view.x[thread]);
    order = candidate(view.x[thread], static_cast<uint32_t>(view.ids[thread]));
    ranked.order[thread] = order;
    ranked.units[thread] = __float2ull_rn(scaled);
  }
  __syncthreads();
  int rank = 0;
  uint64_t above = 0;
  if (active) {
#pragma unroll 4
    for (int i = 0; i < view.count; ++i) {
      if (ranked.order[i] <= order) continue;
      ++rank;
      above += ranked.units[i];
    }
  }
  const bool kept = active && (row.top_k == 0 || rank < row.top_k) && scaled >= row.min_p * kWeightUnits;
  uint64_t units = kept ? __float2ull_rn(scaled) : 0;
  if (row.top_p < 1) {
    if (row.top_k > 0 || row.min_p > 0) mass = group.sum(units);
    const auto target =
        static_cast<uint64_t>(ceil(static_cast<double>(row.top_p) * static_cast<double>(mass)));
    if (rank > 0 && above >= target) units = 0;  // one at least is left
  }
  const uint64_t upto = warp_upto_u64(units);
  const RowGroup::Scan scan = group.scan(__shfl_sync(0xffffffffU, upto, 31));
  const uint64_t target = share_of(row.bits, scan.total);
  const uint64_t before = scan.before + upto - units;
  const bool drawn = before <= target && target - before < units;
  return static_cast<int>(group.max(drawn ? static_cast<uint64_t>(view.ids[thread]) + 1 : 0)) - 1;
}

__device__ RowParams read_params(const SampleParams& p, int64_t row) {
  RowParams r{
      .temperature = p.temperature[row], .top_k = p.top_k[row], .top_p = p.top_p[row], .min_p = p.min_p[row]};
  if (r.top_k <= 0 || r.top_k >= p.vocab) r.top_k = 0;
  r.bits = philox_bits(static_cast<uint64_t>(p.seed[row]), static_cast<uint64_t>(p.position[row]));
  return r;
}

// The token of the row, known to the first CTA of the group at least. `mine` is the largest of the thread's
// values.
__device__ int sample_row(RowGroup& group, SampleShared& shared, const RowView& view, const RowParams& row,
                          float largest, float mine) {
  const Weigher weigh(largest, row.temperature);
  if (row.top_k == 0 && row.top_p >= 1 && row.min_p <= 0) {
    const auto measure = [&](float x, int) { return weigh(x); };
    const uint64_t sum = share_sum(view, measure);
    const RowGroup::Scan scan = group.scan(sum);
    return locate(group, view, share_of(row.bits, scan.total), measure, sum, scan);
  }
  Bound bound{.value = lowest_kept(row, weigh)};
  if (row.top_k > 0) {
    bound.value = bound_of_count(group, mine, largest, static_cast<uint64_t>(row.top_k), bound.value);
  } else if (row.min_p <= 0) {
    bound.value =
        bound_of_mass(group, view, mine, weigh, row.temperature, row.top_p, bound.value, bound.mass);
  }
  bound.count = gather_candidates(group, shared.candidates, view, mine, bound.value);
  if (bound.count > kCandidates) return filter_and_draw(group, shared.histogram, view, row, weigh, bound);
  if (group.rank() != 0) return -1;
  const RowView few{
      .x = shared.candidates.x, .ids = shared.candidates.ids, .count = static_cast<int>(bound.count)};
  RowGroup alone = group.alone();
  if (bound.count <= kRanked) return draw_ranked(alone, shared.ranked, few, row, weigh, bound.mass);
  return filter_and_draw(alone, shared.histogram, few, row, weigh, bound);
}

__global__ void __launch_bounds__(kRowThreads, 2) sample_kernel(SampleParams p, bool copy) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& shared = *reinterpret_cast<SampleShared*>(memory);
  auto* slice = copy ? reinterpret_cast<float*>(memory + sizeof(SampleShared)) : nullptr;
  const int size = cluster_size();
  const int64_t at = blockIdx.x / size;
  RowGroup group(shared.group, cluster_rank(), size);
  if (size > 1) cluster_arrive();  // a CTA's memory may be written once it has started
  let_next_start();
  wait_for_previous();

  const float* logits = p.logits + at * p.logits_stride;
  const bool whole = reinterpret_cast<uintptr_t>(logits) % 16 == 0;
  const float temperature = p.temperature[at];
  Largest mine;
  const RowView view =
      load_slice(logits, static_cast<int>(p.vocab), whole, group.rank(), size,
                 temperature > 0 ? slice : nullptr, [&](float x, int id) { mine.see(x, id); });
  if (size > 1) cluster_wait();
  const uint64_t best = group.max(mine.result());
  int token = -1;
  if (best != 0 && best != ~uint64_t{0}) {
    token = temperature > 0 ? sample_row(group, shared, view, read_params(p, at), value_of(best), mine.value)
                            : static_cast<int>(id_of(best));
  }
  if (group.rank() == 0 && threadIdx.x == 0) p.out[at * p.out_stride] = token;
}

}  // namespace

cudaError_t sample(const SampleParams& p, cudaStream_t stream) {
  if (p.rows == 0) return cudaSuccess;
  if (p.vocab < 1 || p.vocab > kMaxRow) return cudaErrorInvalidValue;
  return launch_rows<SampleShared>(sample_kernel, p, stream);
}

}  // namespace pegainfer::cuda
