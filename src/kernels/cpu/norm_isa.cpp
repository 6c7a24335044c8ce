#include "kernels/cpu/norm.h"
#include "kernels/cpu/norm_row.h"
#include "kernels/cpu/vec.h"

namespace pegainfer::cpu::PEGA_ISA {
namespace {

template <class T>
T* row_of(const Tensor& t, int64_t row) {
  return static_cast<T*>(t.data) + row * t.row_stride;
}

// x = round(x + delta)
template <class T>
void add_row(T* x, const T* delta, int64_t cols) {
  for (int64_t c = 0; c < cols; c += kLanes) {
    store_upto(x + c, load_upto(x + c, cols - c) + load_upto(delta + c, cols - c), cols - c);
  }
}

template <class T>
void rms_norm_rows(const Tensor& x, const float* weight, float eps, const Tensor& out, int64_t row_begin,
                   int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    norm_row(row_of<T>(x, r), weight, eps, row_of<T>(out, r), x.cols);
  }
}

template <class T>
void add_rows(const Tensor& x, const Tensor& delta, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) add_row(row_of<T>(x, r), row_of<T>(delta, r), x.cols);
}

void rms_norm(const Tensor& x, const float* weight, float eps, const Tensor& out, int64_t row_begin,
              int64_t row_end) {
  const auto rows = x.dtype == DType::kBF16 ? rms_norm_rows<uint16_t> : rms_norm_rows<float>;
  rows(x, weight, eps, out, row_begin, row_end);
}

void add(const Tensor& x, const Tensor& delta, int64_t row_begin, int64_t row_end) {
  const auto rows = x.dtype == DType::kBF16 ? add_rows<uint16_t> : add_rows<float>;
  rows(x, delta, row_begin, row_end);
}

}  // namespace

extern const NormKernels kNormKernels;
const NormKernels kNormKernels{rms_norm, add};

}  // namespace pegainfer::cpu::PEGA_ISA
