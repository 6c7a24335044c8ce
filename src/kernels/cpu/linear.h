// out = x w^T + bias with packed weights of any storage format, split into tasks for the caller's threads.
//
// The result for a row of x depends on that row alone: not on m, on the row's place in the batch or on how
// the tasks are spread over threads. Each (format, activation type, instruction set) has one reduction order,
// used by every tile shape (docs/numerics.md).
//
//   const LinearKernels& linear = linear_kernels(isa);
//   const LinearPreparation prep = linear.preparation(format, x_bf16, k);
//   args.prepared = <linear_prepared_bytes(prep, m, k) bytes, 64-aligned>
//   linear.prepare(prep, args, 0, m);       // any split by tokens; skip when linear_prepared_bytes is 0
//   linear.run(args, 0, linear_num_tasks(args), scratch);  // any split by tasks; after all of prepare
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/isa.h"
#include "tensor/dtype.h"

namespace pegainfer::cpu {

struct LinearArgs {
  const void* x = nullptr;  // [m, k] BF16 or F32, rows x_stride elements apart
  bool x_bf16 = false;
  int64_t m = 0;
  int64_t x_stride = 0;

  WeightFormat format = WeightFormat::kF32;
  const std::byte* packed = nullptr;  // [n, k] in the layout of pack.h, 64-aligned
  int64_t n = 0;
  int64_t k = 0;
  const float* bias = nullptr;  // [n], or null

  void* out = nullptr;  // [m, n] BF16 or F32, rows out_stride elements apart
  bool out_bf16 = false;
  int64_t out_stride = 0;

  std::byte* prepared = nullptr;  // what prepare() wrote for this x; 64-aligned
};

// What the kernels need besides x itself. Products of one x whose preparations are equal share one prepared
// buffer (the parts of a merged projection; gate and up).
struct LinearPreparation {
  bool copy_f32 = false;     // x as F32
  bool copy_padded = false;  // x with zeros up to whole cells of 32 columns
  int sum_block = 0;         // sums of x over blocks of 16 or 32 columns; 0: none
  bool operator==(const LinearPreparation&) const = default;
};

struct LinearKernels {
  LinearPreparation (*preparation)(WeightFormat format, bool x_bf16, int64_t k);
  // Tokens [token_begin, token_end) of args.x -> args.prepared.
  void (*prepare)(const LinearPreparation& preparation, const LinearArgs& args, int64_t token_begin,
                  int64_t token_end);
  // Tasks [task_begin, task_end). scratch: kLinearScratchBytes of this thread's own, 64-aligned.
  void (*run)(const LinearArgs& args, int64_t task_begin, int64_t task_end, std::byte* scratch);
};

[[nodiscard]] const LinearKernels& linear_kernels(Isa isa);

// Bytes of LinearArgs::prepared; a multiple of 64, grows with m.
[[nodiscard]] size_t linear_prepared_bytes(const LinearPreparation& preparation, int64_t m, int64_t k);

// Tasks of about equal work: 32 rows of w times up to kLinearTaskTokens tokens. Neighbours are neighbours in
// memory, so contiguous ranges are the best split.
inline constexpr int64_t kLinearTaskRows = 32;
inline constexpr int64_t kLinearTaskTokens = 256;
[[nodiscard]] int64_t linear_num_tasks(const LinearArgs& args);

inline constexpr size_t kLinearScratchBytes = 128 * 1024;

}  // namespace pegainfer::cpu
