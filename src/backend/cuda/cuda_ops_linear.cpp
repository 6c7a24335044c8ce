// Products: a few rows stream the weights (kernels/cuda/linear/stream_linear.h), many go to cuBLASLt, and
// what neither takes (F32, odd sizes, unaligned rows) to a generic kernel. Which one depends on the row
// count's side of kMaxStreamRows, on types, sizes and alignments, never on values.
#include <algorithm>
#include <array>
#include <vector>

#include "backend/cuda/cublas_linear.h"
#include "backend/cuda/cuda_ops.h"
#include "base/check.h"
#include "kernels/cuda/linear/generic_linear.h"
#include "kernels/cuda/linear/norm_rows.h"
#include "kernels/cuda/linear/round_bias.h"
#include "kernels/cuda/linear/stream_linear.h"

namespace pegainfer {
namespace {

bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

// Rows that can be read 16 bytes at a time.
bool vectors(const Tensor& t) {
  return t.dtype == DType::kBF16 && aligned(t.data) && (t.rows <= 1 || t.row_stride % 8 == 0);
}

bool vectors(const WeightPart& w) {
  return cuda_weight_dtype(w.format) == DType::kBF16 && w.cols % 8 == 0 && aligned(w.data);
}

bool vectors(const Weight& w) {
  for (int i = 0; i < w.num_parts; ++i) {
    if (!vectors(w.parts.at(static_cast<size_t>(i)))) return false;
  }
  return true;
}

bool streams(const Tensor& x, const Weight& w) {
  return x.rows <= cuda::kMaxStreamRows && vectors(x) && vectors(w);
}

// cuBLASLt's algorithms are chosen for rows of out that are aligned too.
bool library_takes(const Tensor& x, const WeightPart& w, const Tensor& out) {
  const int64_t elements = 16 / static_cast<int64_t>(size_of(out.dtype));
  return vectors(x) && vectors(w) && aligned(out.data) && out.row_stride % elements == 0;
}

const float* bias_at(const Weight& w, int64_t row) { return w.bias ? w.bias.row<float>(0) + row : nullptr; }

cuda::StreamLinearParams stream_params(const Tensor& x, const WeightPart& part, const float* bias,
                                       const Tensor& out) {
  return {.x = x.data,
          .x_stride = x.row_stride,
          .rows = static_cast<int>(x.rows),
          .cols = static_cast<int>(part.cols),
          .w = part.data,
          .n = static_cast<int>(part.rows),
          .bias = bias,
          .out = out.data,
          .out_stride = out.row_stride,
          .out_f32 = out.dtype == DType::kF32};
}

cuda::GenericLinearParams generic_params(const Tensor& x, const WeightPart& part, const float* bias,
                                         const Tensor& out) {
  return {.x = x.data,
          .x_dtype = x.dtype,
          .x_stride = x.row_stride,
          .rows = static_cast<int>(x.rows),
          .cols = static_cast<int>(part.cols),
          .w = part.data,
          .w_dtype = cuda_weight_dtype(part.format),
          .n = static_cast<int>(part.rows),
          .bias = bias,
          .out = out.data,
          .out_dtype = out.dtype,
          .out_stride = out.row_stride};
}

CublasProblem cublas_problem(const Tensor& x, const WeightPart& part, const Tensor& out, bool has_bias) {
  return {.rows = x.rows,
          .n = part.rows,
          .cols = part.cols,
          .x_stride = x.row_stride,
          .out_stride = out.row_stride,
          .out_f32 = out.dtype == DType::kF32,
          .has_bias = has_bias};
}

// The i-th part and the columns of `out` that are its own.
struct Slice {
  const WeightPart& part;
  int64_t row;
  Tensor out;
};
template <class Call>
void for_each_part(const Weight& w, const Tensor& out, const Call& call) {
  int64_t row = 0;
  for (int i = 0; i < w.num_parts; ++i) {
    const WeightPart& part = w.parts.at(static_cast<size_t>(i));
    if (part.rows > 0) call(Slice{part, row, out.slice_cols(row, part.rows)});
    row += part.rows;
  }
}

// gate and up of a weight: its two parts, or the halves of its one.
struct GateUp {
  const std::byte* gate = nullptr;
  const std::byte* up = nullptr;
};
GateUp gate_up_of(const Weight& w) {
  const int64_t n = w.rows() / 2;
  if (w.num_parts == 1 && w.rows() % 2 == 0)
    return {w.parts[0].data, w.parts[0].data + static_cast<size_t>(n * w.cols()) * size_of(DType::kBF16)};
  if (w.num_parts == 2 && w.parts[0].rows == w.parts[1].rows) return {w.parts[0].data, w.parts[1].data};
  return {};
}

bool norm_fits(const Tensor& norm, const Tensor& h) { return aligned(norm.data) && vectors(h); }

}  // namespace

cuda::StreamDevice CudaOps::stream_device() const {
  return {.num_sms = context_.device().num_sms, .shared_bytes_per_sm = context_.device().shared_bytes_per_sm};
}

// F32 biases become what the library's epilogue takes: behind its workspace.
cudaError_t CudaOps::multiply_many(const Tensor& x, const WeightPart& part, const float* bias,
                                   const Tensor& out, bool accumulate) {
  std::byte* workspace = linear_scratch_.get(kLinearScratchBytes);
  CublasProblem problem = cublas_problem(x, part, out, bias != nullptr);
  problem.accumulate = accumulate;
  const void* typed_bias = bias;
  if (bias != nullptr && !problem.out_f32) {
    CHECK(part.rows <= kMaxBiasRows, "a bias of {} rows", part.rows);
    std::byte* rounded = workspace + kCublasWorkspaceBytes;
    const cudaError_t error =
        cuda::round_bias({.bias = bias, .n = static_cast<int>(part.rows), .out = rounded}, context_.stream());
    if (error != cudaSuccess) return error;
    typed_bias = rounded;
  }
  return cublas_->run(problem, {.x = x.data, .w = part.data, .bias = typed_bias, .out = out.data}, workspace);
}

void CudaOps::linear(Tensor x, const Weight& w, Tensor out) {
  const bool few = streams(x, w);
  for_each_part(w, out, [&](const Slice& s) {
    const float* bias = bias_at(w, s.row);
    if (few)
      context_.note("linear", cuda::stream_linear(stream_params(x, s.part, bias, s.out), stream_device(),
                                                  context_.stream()));
    else if (x.rows > cuda::kMaxStreamRows && library_takes(x, s.part, s.out))
      context_.note("linear", multiply_many(x, s.part, bias, s.out, false));
    else
      context_.note("linear",
                    cuda::generic_linear(generic_params(x, s.part, bias, s.out), context_.stream()));
  });
}

// h = rms_norm(x) of a few rows.
void CudaOps::normalise_few(const Tensor& x, const Tensor& norm, float eps, const Tensor& h) {
  context_.note("rms_norm", cuda::norm_rows({.x = x.data,
                                             .x_stride = x.row_stride,
                                             .rows = static_cast<int>(x.rows),
                                             .cols = static_cast<int>(x.cols),
                                             .norm = norm.row<float>(0),
                                             .eps = eps,
                                             .out = h.data,
                                             .out_stride = h.row_stride},
                                            context_.stream()));
}

void CudaOps::norm_linear(Tensor x, Tensor norm, float eps, const Weight& w, Tensor h, Tensor out) {
  if (!streams(x, w) || !norm_fits(norm, h)) return Ops::norm_linear(x, norm, eps, w, h, out);
  normalise_few(x, norm, eps, h);
  linear(h, w, out);
}

void CudaOps::linear_add(Tensor x, const Weight& w, Tensor delta, Tensor residual) {
  const bool few = streams(x, w);
  bool many = x.rows > cuda::kMaxStreamRows;
  for_each_part(w, residual, [&](const Slice& s) { many = many && library_takes(x, s.part, s.out); });
  if (residual.dtype != DType::kBF16 || (!few && !many)) return Ops::linear_add(x, w, delta, residual);
  for_each_part(w, residual, [&](const Slice& s) {
    if (few) {
      cuda::StreamLinearParams params = stream_params(x, s.part, bias_at(w, s.row), s.out);
      params.output = cuda::StreamOutput::kAdd;
      context_.note("linear_add", cuda::stream_linear(params, stream_device(), context_.stream()));
    } else {
      context_.note("linear_add", multiply_many(x, s.part, bias_at(w, s.row), s.out, true));
    }
  });
}

void CudaOps::norm_gated_linear(Tensor x, Tensor norm, float eps, const Weight& w, Tensor h, Tensor gate_up,
                                Tensor out) {
  const GateUp halves = gate_up_of(w);
  if (!streams(x, w) || !norm_fits(norm, h) || out.dtype != DType::kBF16 || !aligned(halves.up) ||
      halves.gate == nullptr)
    return Ops::norm_gated_linear(x, norm, eps, w, h, gate_up, out);
  normalise_few(x, norm, eps, h);
  cuda::StreamLinearParams params = stream_params(h, w.parts[0], bias_at(w, 0), out);
  params.output = cuda::StreamOutput::kGated;
  params.n = static_cast<int>(w.rows() / 2);
  params.w_up = halves.up;
  params.bias_up = bias_at(w, w.rows() / 2);
  context_.note("norm_gated_linear", cuda::stream_linear(params, stream_device(), context_.stream()));
}

// Times what cuBLASLt has for products of more than kMaxStreamRows rows, up to `max_rows`, of weights that
// are alike. x is a weight's own values: noise of a kind that costs the power real activations cost.
void CudaOps::begin_warm_up() { cublas_->watch(); }

Status CudaOps::end_warm_up() { return cublas_->tune(linear_scratch_.get(kLinearScratchBytes)); }

}  // namespace pegainfer
