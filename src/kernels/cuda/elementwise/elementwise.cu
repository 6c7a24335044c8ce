#include "kernels/cuda/common/row_map.cuh"
#include "kernels/cuda/elementwise/elementwise.h"

namespace pegainfer::cuda {
namespace {

template <class T, int W>
struct AddBody {
  T* x;
  int64_t x_stride;
  const T* delta;
  int64_t delta_stride;

  using Unit = Chunk<T, W>;
  struct In {
    Unit x, delta;
  };
  __device__ __forceinline__ Unit* place(uint32_t row, uint32_t unit) const {
    return reinterpret_cast<Unit*>(x + row * x_stride) + unit;
  }
  __device__ __forceinline__ In load(uint32_t row, uint32_t unit) const {
    return {*place(row, unit), reinterpret_cast<const Unit*>(delta + row * delta_stride)[unit]};
  }
  __device__ __forceinline__ void store(uint32_t row, uint32_t unit, const In& in) const {
    Unit sum;
#pragma unroll
    for (int i = 0; i < W; ++i) sum.v[i] = from_float<T>(to_float(in.x.v[i]) + to_float(in.delta.v[i]));
    *place(row, unit) = sum;
  }
};

// BF16's rounding hides what the fast exponential and division are off by; F32 gets the accurate ones.
template <class T>
__device__ __forceinline__ float silu(float g) {
  if constexpr (sizeof(T) == 2) {
    return __fdividef(g, 1.0F + __expf(-g));
  } else {
    return g / (1.0F + expf(-g));
  }
}

template <class T, int W>
struct SiluMulBody {
  const T* gate_up;
  int64_t gate_up_stride;
  int64_t cols;
  T* out;
  int64_t out_stride;

  using Unit = Chunk<T, W>;
  struct In {
    Unit gate, up;
  };
  __device__ __forceinline__ In load(uint32_t row, uint32_t unit) const {
    const T* gate = gate_up + row * gate_up_stride;
    return {reinterpret_cast<const Unit*>(gate)[unit], reinterpret_cast<const Unit*>(gate + cols)[unit]};
  }
  __device__ __forceinline__ void store(uint32_t row, uint32_t unit, const In& in) const {
    Unit product;
#pragma unroll
    for (int i = 0; i < W; ++i) {
      const float gate = rounded<T>(silu<T>(to_float(in.gate.v[i])));
      product.v[i] = from_float<T>(gate * to_float(in.up.v[i]));
    }
    reinterpret_cast<Unit*>(out + row * out_stride)[unit] = product;
  }
};

template <class Unit>
struct GatherBody {
  const Unit* x;
  int64_t x_stride;  // in units
  const int32_t* indices;
  int64_t indices_stride;
  Unit* out;
  int64_t out_stride;  // in units

  using In = Unit;
  __device__ __forceinline__ In load(uint32_t row, uint32_t unit) const {
    return x[indices[row * indices_stride] * x_stride + unit];
  }
  __device__ __forceinline__ void store(uint32_t row, uint32_t unit, const In& in) const {
    out[row * out_stride + unit] = in;
  }
};

template <class T>
cudaError_t add_of(const AddParams& p, cudaStream_t stream) {
  auto* x = static_cast<T*>(p.x);
  const auto* delta = static_cast<const T*>(p.delta);
  if (in_units_of_16(x, p.cols, p.x_stride, sizeof(T)) &&
      in_units_of_16(delta, p.cols, p.delta_stride, sizeof(T)))
    return launch_row_map(AddBody<T, kVec<T>>{x, p.x_stride, delta, p.delta_stride}, p.rows, p.cols / kVec<T>,
                          stream);
  return launch_row_map(AddBody<T, 1>{x, p.x_stride, delta, p.delta_stride}, p.rows, p.cols, stream);
}

template <class T>
cudaError_t silu_mul_of(const SiluMulParams& p, cudaStream_t stream) {
  const auto* in = static_cast<const T*>(p.gate_up);
  auto* out = static_cast<T*>(p.out);
  if (in_units_of_16(in, p.cols, p.gate_up_stride, sizeof(T)) &&
      in_units_of_16(out, p.cols, p.out_stride, sizeof(T)))
    return launch_row_map(SiluMulBody<T, kVec<T>>{in, p.gate_up_stride, p.cols, out, p.out_stride}, p.rows,
                          p.cols / kVec<T>, stream);
  return launch_row_map(SiluMulBody<T, 1>{in, p.gate_up_stride, p.cols, out, p.out_stride}, p.rows, p.cols,
                        stream);
}

template <class Unit>
cudaError_t gather_of(const GatherRowsParams& p, int64_t unit_elements, cudaStream_t stream) {
  const GatherBody<Unit> body{
      static_cast<const Unit*>(p.x), p.x_stride / unit_elements,  p.indices, p.indices_stride,
      static_cast<Unit*>(p.out),     p.out_stride / unit_elements};
  return launch_row_map(body, p.rows, p.cols / unit_elements, stream);
}

__global__ void take_tokens_kernel(TakeTokensParams p) {
  let_next_start();
  wait_for_previous();
  const int64_t t = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (t >= p.count) return;
  const int32_t row = p.rows[t * p.rows_stride];
  if (row >= 0) p.ids[t * p.ids_stride] = max(p.tokens[row * p.tokens_stride], 0);
}

}  // namespace

cudaError_t add(const AddParams& p, cudaStream_t stream) {
  return p.dtype == DType::kBF16 ? add_of<__nv_bfloat16>(p, stream) : add_of<float>(p, stream);
}

cudaError_t silu_mul(const SiluMulParams& p, cudaStream_t stream) {
  return p.dtype == DType::kBF16 ? silu_mul_of<__nv_bfloat16>(p, stream) : silu_mul_of<float>(p, stream);
}

cudaError_t gather_rows(const GatherRowsParams& p, cudaStream_t stream) {
  const auto bytes = static_cast<int64_t>(size_of(p.dtype));
  if (in_units_of_16(p.x, p.cols, p.x_stride, bytes) && in_units_of_16(p.out, p.cols, p.out_stride, bytes))
    return gather_of<uint4>(p, 16 / bytes, stream);
  return bytes == 2 ? gather_of<uint16_t>(p, 1, stream) : gather_of<uint32_t>(p, 1, stream);
}

cudaError_t take_tokens(const TakeTokensParams& p, cudaStream_t stream) {
  if (p.count == 0) return cudaSuccess;
  constexpr int64_t kThreads = 256;
  const Launch how{.grid = dim3(static_cast<unsigned>((p.count + kThreads - 1) / kThreads)),
                   .block = dim3(kThreads),
                   .stream = stream};
  return launch(how, take_tokens_kernel, p);
}

}  // namespace pegainfer::cuda
