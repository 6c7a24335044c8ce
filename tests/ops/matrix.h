// What the op tests are made of: matrices that own their memory, values that are a function of a seed and a
// place, and the distance between what was computed and what is expected.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "tensor/tensor.h"

namespace pegainfer::testing {

class Matrix {
 public:
  Matrix(DType dtype, int64_t rows, int64_t cols, int64_t row_stride = 0)
      : dtype_(dtype),
        rows_(rows),
        cols_(cols),
        stride_(std::max(row_stride, cols)),
        lines_(static_cast<size_t>(rows * stride_) * size_of(dtype) / sizeof(Line) + 1) {}

  [[nodiscard]] Tensor tensor() { return {begin(), dtype_, rows_, cols_, stride_}; }
  operator Tensor() { return tensor(); }  // NOLINT(google-explicit-constructor): stands for it in calls

  [[nodiscard]] int64_t rows() const { return rows_; }
  [[nodiscard]] int64_t cols() const { return cols_; }
  [[nodiscard]] DType dtype() const { return dtype_; }

  // Any element as a number; writing rounds to the dtype.
  [[nodiscard]] double at(int64_t r, int64_t c = 0) const {
    const std::byte* p = place(r, c);
    switch (dtype_) {
      case DType::kF32: return static_cast<double>(read<float>(p));
      case DType::kBF16: return static_cast<double>(bf16_to_f32(read<uint16_t>(p)));
      case DType::kI32: return read<int32_t>(p);
      case DType::kI64: return static_cast<double>(read<int64_t>(p));
    }
    return 0;
  }
  void set(int64_t r, int64_t c, double value) {
    std::byte* p = const_cast<std::byte*>(place(r, c));
    switch (dtype_) {
      case DType::kF32: return write(p, static_cast<float>(value));
      case DType::kBF16: return write(p, f32_to_bf16(static_cast<float>(value)));
      case DType::kI32: return write(p, static_cast<int32_t>(value));
      case DType::kI64: return write(p, static_cast<int64_t>(value));
    }
  }
  void fill(double value) {
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t c = 0; c < cols_; ++c) set(r, c, value);
    }
  }
  // The bytes of a row, for comparisons bit by bit.
  [[nodiscard]] std::vector<std::byte> row_bytes(int64_t r) const {
    const std::byte* p = place(r, 0);
    return {p, p + static_cast<size_t>(cols_) * size_of(dtype_)};
  }

 private:
  struct alignas(64) Line {
    std::array<std::byte, 64> bytes{};
  };

  template <class T>
  static T read(const std::byte* p) {
    T v;
    std::memcpy(&v, p, sizeof(v));
    return v;
  }
  template <class T>
  static void write(std::byte* p, T v) {
    std::memcpy(p, &v, sizeof(v));
  }
  [[nodiscard]] std::byte* begin() { return reinterpret_cast<std::byte*>(lines_.data()); }
  [[nodiscard]] const std::byte* place(int64_t r, int64_t c) const {
    return const_cast<Matrix*>(this)->begin() + static_cast<size_t>(r * stride_ + c) * size_of(dtype_);
  }

  DType dtype_;
  int64_t rows_;
  int64_t cols_;
  int64_t stride_;
  std::vector<Line> lines_;
};

// Uniform in [-1, 1), a function of the four numbers alone.
inline double noise(uint64_t seed, uint64_t kind, uint64_t a, uint64_t b) {
  uint64_t x = seed * 0x9E3779B97F4A7C15U + kind * 0xBF58476D1CE4E5B9U + a * 0x94D049BB133111EBU +
               b * 0xD6E8FEB86659FD93U;
  for (int i = 0; i < 3; ++i) {
    x ^= x >> 30U;
    x *= 0xBF58476D1CE4E5B9U;
    x ^= x >> 27U;
    x += 0x9E3779B97F4A7C15U;
  }
  return static_cast<double>(x >> 11U) * 0x1p-52 - 1.0;
}

inline void fill_noise(Matrix& m, uint64_t seed, double scale = 1.0) {
  for (int64_t r = 0; r < m.rows(); ++r) {
    for (int64_t c = 0; c < m.cols(); ++c) {
      m.set(r, c, scale * noise(seed, 0, static_cast<uint64_t>(r), static_cast<uint64_t>(c)));
    }
  }
}

// What PyTorch would materialise: BF16 rounds, F32 rounds to F32.
inline double materialised(double x, DType dtype) {
  const auto f = static_cast<float>(x);
  return static_cast<double>(dtype == DType::kBF16 ? round_bf16(f) : f);
}

struct Distance {
  double nmse = 0;  // sum of squared differences over sum of squares
  double p99 = 0;   // of |difference| over the root mean square
  double worst = 0;
};

inline Distance distance(const Matrix& got, const Matrix& expected) {
  std::vector<double> errors;
  double error = 0;
  double power = 0;
  for (int64_t r = 0; r < expected.rows(); ++r) {
    for (int64_t c = 0; c < expected.cols(); ++c) {
      const double e = got.at(r, c) - expected.at(r, c);
      errors.push_back(std::isnan(e) ? HUGE_VAL : std::abs(e));
      error += std::isnan(e) ? HUGE_VAL : e * e;
      power += expected.at(r, c) * expected.at(r, c);
    }
  }
  if (errors.empty()) return {};
  std::sort(errors.begin(), errors.end());
  const double rms = std::sqrt(power / static_cast<double>(errors.size())) + 1e-30;
  return {.nmse = error / (power + 1e-30),
          .p99 = errors[errors.size() * 99 / 100] / rms,
          .worst = errors.back() / rms};
}

// Allowed distance of an op in the arithmetic `dtype` from loops in double that round at the same places.
// Sums in F32 differ in their last bits; in BF16 such a difference now and then tips a rounding (2^-8 of the
// value).
inline bool close_enough(const Distance& d, DType dtype) {
  return dtype == DType::kBF16 ? d.nmse <= 1e-6 && d.p99 <= 1e-2 && d.worst <= 4e-2
                               : d.nmse <= 1e-12 && d.p99 <= 5e-6 && d.worst <= 2e-5;
}

}  // namespace pegainfer::testing
