// How the kernels over rows of logits are launched: a cluster of CTAs a row.
#pragma once

#include "kernels/cuda/common/cluster_launch.h"
#include "kernels/cuda/sampling/row_group.cuh"
#include "kernels/cuda/sampling/sample.h"

namespace pegainfer::cuda {

// `kernel` keeps a `Shared` and, when its second argument says so, a slice of its row in shared memory. What
// the device can hold is asked once for each `Params`, so one kernel takes them.
template <class Shared, class Params>
cudaError_t launch_rows(void (*kernel)(Params, bool), const Params& p, cudaStream_t stream) {
  static const int most = largest_cluster(kernel, kRowThreads, p.shared_bytes / 2);
  const RowSplit split = split_rows(p.rows, p.vocab, p.num_sms, p.shared_bytes, most, sizeof(Shared));
  const Launch how{.grid = dim3(static_cast<unsigned>(p.rows * split.cluster)),
                   .block = dim3(kRowThreads),
                   .shared_bytes = sizeof(Shared) + static_cast<size_t>(split.slice) * sizeof(float),
                   .stream = stream};
  return launch_clusters(how, split.cluster, kernel, p, split.slice > 0);
}

}  // namespace pegainfer::cuda
