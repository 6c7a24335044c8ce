#include <algorithm>

#include "kernels/cuda/common/launch.h"
#include "kernels/cuda/linear/stream_linear.cuh"
#include "kernels/cuda/linear/stream_linear.h"

namespace pegainfer::cuda {
namespace {

constexpr int kMaxTiles = 2;
constexpr size_t kReservedBytes = 1024;  // of an SM's shared memory, by the system for each CTA
constexpr size_t kBetweenBytes =
    8192;  // of an SM's shared memory, left for small kernels between two products

template <class C>
cudaError_t launch_one(const StreamLinearParams& p, int grid, cudaStream_t stream) {
  const auto kernel = stream::stream_linear_kernel<C>;
  static const cudaError_t prepared = cudaFuncSetAttribute(
      kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared);
  if (prepared != cudaSuccess) return prepared;
  return launch({.grid = dim3(static_cast<unsigned>(grid)),
                 .block = dim3(stream::kThreads),
                 .shared_bytes = C::shared_bytes(p.rows),
                 .stream = stream},
                kernel, p);
}

// The first of the depths (deepest first) whose memory fits.
template <int kTiles, int kGroups, int kStages, int... kLess>
cudaError_t launch_deepest(const StreamLinearParams& p, int grid, size_t shared, int stages,
                           cudaStream_t stream) {
  using C = stream::Config<kTiles, kGroups, kStages>;
  if constexpr (sizeof...(kLess) > 0) {
    if (C::shared_bytes(p.rows) > shared || (stages != 0 && kStages > stages))
      return launch_deepest<kTiles, kGroups, kLess...>(p, grid, shared, stages, stream);
  }
  return launch_one<C>(p, grid, stream);
}

template <int kTiles>
cudaError_t launch_tiles(const StreamLinearParams& p, int grid, const StreamDevice& device,
                         cudaStream_t stream) {
  // Two CTAs an SM, and room beside them: the next product's rings fill while this one drains and while what
  // comes between them runs.
  const size_t shared = (device.shared_bytes_per_sm - kBetweenBytes) / 2 - kReservedBytes;
  if (p.rows <= 8) return launch_deepest<kTiles, 1, 6, 5, 4, 2>(p, grid, shared, device.stages, stream);
  return launch_deepest<kTiles, 2, 4, 3, 2>(p, grid, shared, device.stages, stream);
}

}  // namespace

cudaError_t stream_linear(const StreamLinearParams& p, const StreamDevice& device, cudaStream_t stream) {
  if (p.rows == 0 || p.n == 0) return cudaSuccess;
  if (p.rows > kMaxStreamRows) return cudaErrorInvalidValue;
  const int grid = std::min(device.num_sms, p.n);
  const int tile_rows = p.output == StreamOutput::kGated ? 8 : 16;
  const int rows_of_cta = (p.n + grid - 1) / grid;
  const int tiles =
      device.tiles != 0 ? device.tiles : std::min(kMaxTiles, (rows_of_cta + tile_rows - 1) / tile_rows);
  return tiles == 1 ? launch_tiles<1>(p, grid, device, stream) : launch_tiles<2>(p, grid, device, stream);
}

}  // namespace pegainfer::cuda
