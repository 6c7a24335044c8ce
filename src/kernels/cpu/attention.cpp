#include "kernels/cpu/attention.h"

#include <algorithm>

#include "kernels/cpu/pick_isa.h"

PEGA_PICK_ISA(AttentionKernels, kAttentionKernels, attention_kernels)

namespace pegainfer::cpu {

PartitionRange partitions_of(const AttentionTile& tile, int window) {
  const int first = window > 0 ? std::max(0, tile.position + 1 - window) : 0;
  const int last = tile.position + tile.tokens - 1;
  return {first / kAttentionPartition, last / kAttentionPartition + 1};
}

}  // namespace pegainfer::cpu
