// The instructions the streaming product is made of: asynchronous copies into shared memory and the BF16
// matrix multiply-accumulate, both there from sm_80 on.
#pragma once

#include <cstdint>

namespace pegainfer::cuda {

// 16 bytes into shared memory, past L1; with `bytes` 0 zeros are written and nothing is read. The rest of a
// 128-byte line is fetched into L2 along with it.
__device__ __forceinline__ void copy_async_16(void* shared, const void* global, int bytes) {
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes)
               : "memory");
}
// The same under a cache policy.
__device__ __forceinline__ void copy_async_16(void* shared, const void* global, int bytes, uint64_t policy) {
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global.L2::cache_hint.L2::128B [%0], [%1], 16, %2, %3;" ::"r"(to),
               "l"(global), "r"(bytes), "l"(policy)
               : "memory");
}
// What is read under it leaves L2 first.
__device__ __forceinline__ uint64_t evict_first_policy() {
  uint64_t policy = 0;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until all but this thread's last kPending groups of copies have arrived.
template <int kPending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// acc [16, 8] += a [16, 16] b [16, 8]. Lane 4 * g + t holds of a the columns (2t, 2t + 1) and (2t + 8, 2t +
// 9) of rows g and g + 8, of b the same rows of column g, of acc the columns (2t, 2t + 1) of rows g and g
// + 8.
__device__ __forceinline__ void mma_bf16(float (&acc)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                                         uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

}  // namespace pegainfer::cuda
