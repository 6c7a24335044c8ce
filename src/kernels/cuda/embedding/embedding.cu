#include "kernels/cuda/common/row_map.cuh"
#include "kernels/cuda/embedding/embedding.h"

namespace pegainfer::cuda {
namespace {

// W elements of a row: 8, so that a BF16 unit is 16 bytes and an F32 one two times 16; or 1.
template <class To, int W>
struct EmbeddingBody {
  EmbeddingParams p;

  struct In {
    float v[W];
  };
  template <class From>
  static __device__ __forceinline__ In read(const void* row, uint32_t unit) {
    constexpr int kPart = W * sizeof(From) > 16 ? kVec<From> : W;
    const auto* from = reinterpret_cast<const Chunk<From, kPart>*>(static_cast<const From*>(row) + unit * W);
    In in;
#pragma unroll
    for (int i = 0; i < W / kPart; ++i) {
      const Chunk<From, kPart> chunk = from[i];
#pragma unroll
      for (int j = 0; j < kPart; ++j) in.v[i * kPart + j] = to_float(chunk.v[j]);
    }
    return in;
  }
  __device__ __forceinline__ In load(uint32_t row, uint32_t unit) const {
    int64_t id = p.ids[row * p.ids_stride];
#pragma unroll
    for (int i = 0; i < EmbeddingParams::kMaxParts; ++i) {
      if (i >= p.num_parts || id < 0) break;
      const EmbeddingParams::Part& part = p.parts[i];
      if (id < part.rows) {
        return part.dtype == DType::kBF16
                   ? read<__nv_bfloat16>(static_cast<const __nv_bfloat16*>(part.data) + id * p.cols, unit)
                   : read<float>(static_cast<const float*>(part.data) + id * p.cols, unit);
      }
      id -= part.rows;
    }
    In in;
#pragma unroll
    for (int j = 0; j < W; ++j) in.v[j] = __int_as_float(0x7fc00000);
    return in;
  }
  __device__ __forceinline__ void store(uint32_t row, uint32_t unit, const In& in) const {
    constexpr int kPart = W * sizeof(To) > 16 ? kVec<To> : W;
    auto* to = reinterpret_cast<Chunk<To, kPart>*>(static_cast<To*>(p.out) + row * p.out_stride + unit * W);
#pragma unroll
    for (int i = 0; i < W / kPart; ++i) {
      Chunk<To, kPart> chunk;
#pragma unroll
      for (int j = 0; j < kPart; ++j) chunk.v[j] = from_float<To>(in.v[i * kPart + j]);
      to[i] = chunk;
    }
  }
};

template <class To>
cudaError_t embedding_of(const EmbeddingParams& p, bool in_eights, cudaStream_t stream) {
  if (in_eights) return launch_row_map(EmbeddingBody<To, 8>{p}, p.tokens, p.cols / 8, stream);
  return launch_row_map(EmbeddingBody<To, 1>{p}, p.tokens, p.cols, stream);
}

}  // namespace

cudaError_t embedding(const EmbeddingParams& p, cudaStream_t stream) {
  const auto bytes = static_cast<int64_t>(size_of(p.out_dtype));
  bool in_eights = p.cols % 8 == 0 && in_units_of_16(p.out, p.cols, p.out_stride, bytes);
  for (int i = 0; i < p.num_parts; ++i) in_eights = in_eights && aligned_16(p.parts[i].data);
  return p.out_dtype == DType::kBF16 ? embedding_of<__nv_bfloat16>(p, in_eights, stream)
                                     : embedding_of<float>(p, in_eights, stream);
}

}  // namespace pegainfer::cuda
