#include "kernels/cpu/norm_row.h"
#include "kernels/cpu/rope.h"
#include "kernels/cpu/vec.h"

namespace pegainfer::cpu::PEGA_ISA {
namespace {

// x * cos + rotate_half(x) * sin over pairs (i, half + i); each product and the sum are materialised.
template <class T>
void rotate(T* x, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; i += kLanes) {
    const int64_t left = half - i;
    const Vf a = load_upto(x + i, left);
    const Vf b = load_upto(x + half + i, left);
    const Vf c = load_upto(cos + i, left);
    const Vf s = load_upto(sin + i, left);
    store_upto(x + i, materialise<T>(a * c) - materialise<T>(b * s), left);
    store_upto(x + half + i, materialise<T>(b * c) + materialise<T>(a * s), left);
  }
}

template <class T>
void norm_rope_heads(T* heads, int64_t count, const float* norm, const QkNormRopeArgs& args, int64_t row) {
  const int64_t half = args.table.cols / 2;
  const float* cos = static_cast<const float*>(args.table.data) + row * args.table.row_stride;
  for (int64_t h = 0; h < count; ++h) {
    T* head = heads + h * args.head_dim;
    if (norm != nullptr) norm_row(head, norm, args.eps, head, args.head_dim);
    rotate(head, cos, cos + half, half);
  }
}

template <class T>
void qk_norm_rope_rows(const QkNormRopeArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    norm_rope_heads(static_cast<T*>(args.q.data) + r * args.q.row_stride, args.q.cols / args.head_dim,
                    args.q_norm, args, r);
    norm_rope_heads(static_cast<T*>(args.k.data) + r * args.k.row_stride, args.k.cols / args.head_dim,
                    args.k_norm, args, r);
  }
}

void qk_norm_rope(const QkNormRopeArgs& args, int64_t row_begin, int64_t row_end) {
  const auto rows = args.q.dtype == DType::kBF16 ? qk_norm_rope_rows<uint16_t> : qk_norm_rope_rows<float>;
  rows(args, row_begin, row_end);
}

}  // namespace

extern const RopeKernels kRopeKernels;
const RopeKernels kRopeKernels{qk_norm_rope};

}  // namespace pegainfer::cpu::PEGA_ISA
