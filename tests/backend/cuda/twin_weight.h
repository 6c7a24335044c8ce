// A weight that stands on the device and, packed, in the CPU backend: the same values.
#pragma once

#include <array>
#include <cmath>
#include <vector>

#include "backend/cuda/cuda_context.h"
#include "backend/cuda_layout.h"
#include "base/check.h"
#include "base/half.h"
#include "kernels/cpu/pack.h"
#include "ops/matrix.h"
#include "tensor/weight.h"

namespace pegainfer::testing {

class TwinWeight {
 public:
  // parts: rows of each. format: kBF16 or kF32. The values have a variance of about 1 / cols.
  TwinWeight(CudaContext& context, WeightFormat format, const std::vector<int64_t>& parts, int64_t cols,
             bool bias = false, uint64_t seed = 1)
      : bias_(DType::kF32, 1, sum(parts)) {
    CHECK(format == WeightFormat::kBF16 || format == WeightFormat::kF32);
    const DType dtype = cuda_weight_dtype(format);
    for (const int64_t rows : parts) {
      Matrix values(dtype, rows, cols);
      fill_noise(values, seed + static_cast<uint64_t>(device_.num_parts) * 17,
                 1.7 / std::sqrt(static_cast<double>(cols)));
      add_part(context, format, values);
    }
    if (!bias) return;
    for (int64_t c = 0; c < bias_.cols(); ++c) {
      // Of BF16's precision, as checkpoints have them.
      bias_.set(
          0, c,
          static_cast<double>(round_bf16(static_cast<float>(noise(seed, 5, 0, static_cast<uint64_t>(c))))));
    }
    host_.bias = bias_.tensor();
    device_.bias = bias_.tensor();  // MirrorOps copies it
  }

  [[nodiscard]] const Weight& host() const { return host_; }
  [[nodiscard]] const Weight& device() const { return device_; }

 private:
  static int64_t sum(const std::vector<int64_t>& parts) {
    int64_t n = 0;
    for (const int64_t rows : parts) n += rows;
    return n;
  }
  void add_part(CudaContext& context, WeightFormat format, Matrix& values) {
    const Tensor t = values;
    const auto at = static_cast<size_t>(device_.num_parts);
    auto& lines = packed_.emplace_back(cpu::packed_bytes(format, t.rows, t.cols) / sizeof(Line) + 1);
    auto* to = reinterpret_cast<std::byte*>(lines.data());
    cpu::pack_rows(format, t.rows, t.cols, to, 0, t.rows, static_cast<const std::byte*>(t.data));
    host_.parts.at(at) = {format, t.rows, t.cols, to};

    Result<Buffer> buffer = context.allocate(t.bytes());
    CHECK(buffer.has_value(), "{}", buffer.error().message);
    CHECK(cudaMemcpyAsync(buffer->data(), t.data, t.bytes(), cudaMemcpyHostToDevice, context.stream()) ==
          cudaSuccess);
    CHECK(cudaStreamSynchronize(context.stream()) == cudaSuccess);
    device_.parts.at(at) = {format, t.rows, t.cols, buffer->data()};
    buffers_.push_back(*std::move(buffer));
    host_.num_parts = ++device_.num_parts;
  }

  struct alignas(64) Line {
    std::array<std::byte, 64> bytes{};
  };
  Matrix bias_;
  Weight host_;
  Weight device_;
  std::vector<std::vector<Line>> packed_;
  std::vector<Buffer> buffers_;
};

}  // namespace pegainfer::testing
