#include <limits>

#include "kernels/cpu/logprobs.h"
#include "kernels/cpu/row_scan.h"
#include "kernels/cpu/vec.h"

namespace pegainfer::cpu::PEGA_ISA {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// log(sum(exp(x))); the sum of 150,000 terms needs F64, the terms do not.
double log_sum_exp(const float* x, int64_t n) {
  const float largest = max_of(x, n);
  SumF64 sum;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) add_to(sum, exp(load(x + i) - broadcast(largest)));
  if (i < n) {
    const Vf terms = exp(load_upto(x + i, n - i) - broadcast(largest));
    add_to(sum, select(first_lanes(static_cast<int>(n - i)), terms, broadcast(0)));
  }
  return static_cast<double>(largest) + __builtin_log(reduce(sum));
}

// Entries in descending order; an equal one goes below those that came before it.
struct TopList {
  int32_t* ids;
  float* values;
  int capacity;
  int count = 0;

  void insert(float value, int32_t id) {
    int at = count < capacity ? count++ : capacity - 1;
    for (; at > 0 && values[at - 1] < value; --at) {
      values[at] = values[at - 1];
      ids[at] = ids[at - 1];
    }
    values[at] = value;
    ids[at] = id;
  }
};

void find_top(const float* logits, int64_t n, TopList& top) {
  int64_t i = 0;
  for (; i < n && top.count < top.capacity; ++i) {
    if (logits[i] == logits[i]) top.insert(logits[i], static_cast<int32_t>(i));
  }
  for (; i < n; i += kLanes) {
    const int64_t left = n - i;
    uint32_t bits = bits_of(load_upto(logits + i, left) > broadcast(top.values[top.capacity - 1]));
    if (left < kLanes) bits &= (1U << static_cast<unsigned>(left)) - 1U;
    for (; bits != 0; bits &= bits - 1) {
      const int64_t at = i + __builtin_ctz(bits);
      if (logits[at] > top.values[top.capacity - 1]) top.insert(logits[at], static_cast<int32_t>(at));
    }
  }
}

float logprobs(const float* logits, int64_t n, int32_t target, int top_n, int32_t* top_ids,
               float* top_logprobs) {
  const double norm = log_sum_exp(logits, n);
  if (top_n > 0) {
    TopList top{top_ids, top_logprobs, top_n};
    find_top(logits, n, top);
    for (int i = 0; i < top.count; ++i) {
      top_logprobs[i] = static_cast<float>(static_cast<double>(top_logprobs[i]) - norm);
    }
    for (int i = top.count; i < top_n; ++i) {
      top_ids[i] = -1;
      top_logprobs[i] = kNan;
    }
  }
  if (target < 0 || target >= n) return kNan;
  return static_cast<float>(static_cast<double>(logits[target]) - norm);
}

}  // namespace

extern const LogprobsKernels kLogprobsKernels;
const LogprobsKernels kLogprobsKernels{logprobs};

}  // namespace pegainfer::cpu::PEGA_ISA
