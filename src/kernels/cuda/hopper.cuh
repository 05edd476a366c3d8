// Hopper's own instructions as functions: barriers that count bytes, copies of tiles by
// the tensor memory accelerator, products of warpgroups. PTX ISA 8.0, sm_90a.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace mtrain::kernels::cuda::hopper {

__device__ __forceinline__ uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

/// An mbarrier in shared memory: a phase ends when `count` arrivals and all expected
/// bytes are in.
struct Barrier {
  uint64_t state;

  __device__ void init(uint32_t count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&state)),
                 "r"(count));
  }
  /// Arrives, and adds bytes that copies will bring.
  __device__ void expect(uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                     shared_address(&state)),
                 "r"(bytes)
                 : "memory");
  }
  /// Arrives at this barrier of the cluster's block `rank`.
  __device__ void arrive_at(int rank) {
    asm volatile(
        "{\n"
        ".reg .b32 there;\n"
        "mapa.shared::cluster.u32 there, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [there];\n"
        "}\n" ::"r"(shared_address(&state)),
        "r"(rank)
        : "memory");
  }
  /// Waits until the phase of this parity has ended.
  __device__ void wait(uint32_t parity) {
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again;\n"
        "}\n" ::"r"(shared_address(&state)),
        "r"(parity)
        : "memory");
  }
};

/// Makes barriers just initialised known to the copy engine.
__device__ __forceinline__ void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/// Orders ordinary writes to shared memory before the matrix units' reads.
__device__ __forceinline__ void publish_shared() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Among `threads` threads that name the same `id` (1 to 15).
__device__ __forceinline__ void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

__device__ __forceinline__ int cluster_rank() {
  int rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

/// All threads of the cluster's blocks.
__device__ __forceinline__ void cluster_barrier() {
  asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::
                   : "memory");
}

/// Where copies of boxes of a map arrive: in this block, counted by the barrier, or at
/// the same place of several blocks of the cluster, counted by the same barrier of each.
struct Arrival {
  Barrier& barrier;
  uint16_t blocks = 0;  ///< bit mask of ranks; 0 for this block alone
};

/// Starts the copy of the box at column x, row y, slice z to shared memory.
template <bool several>
__device__ __forceinline__ void copy_box(void* to, const CUtensorMap& map, int x, int y,
                                         int z, const Arrival& at) {
  if constexpr (several)
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes"
        ".multicast::cluster [%0], [%1, {%2, %3, %4}], [%5], %6;" ::"r"(
            shared_address(to)),
        "l"(&map), "r"(x), "r"(y), "r"(z), "r"(shared_address(&at.barrier.state)),
        "h"(at.blocks)
        : "memory");
  else
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(shared_address(to)),
        "l"(&map), "r"(x), "r"(y), "r"(z), "r"(shared_address(&at.barrier.state))
        : "memory");
}

/// Starts the copy of a box back to the tensor.
__device__ __forceinline__ void put_box(const CUtensorMap& map, int x, int y, int z,
                                        const void* from) {
  asm volatile(
      "cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group "
      "[%0, {%1, %2, %3}], [%4];" ::"l"(&map),
      "r"(x), "r"(y), "r"(z), "r"(shared_address(from))
      : "memory");
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/// Until all but the last `pending` boxes this thread put have been read.
template <int pending>
__device__ __forceinline__ void await_put() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(pending) : "memory");
}

__device__ __forceinline__ void prefetch_map(const CUtensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

/// Which index of an operand is contiguous in shared memory.
enum class Major { kK = 0, kOuter = 1 };

/// Matrix descriptor of an operand in rows of 128 bytes, swizzled by 128 bytes: eight
/// rows are 1024 bytes apart; with Major::kOuter, 64 outer indices are `chunk` bytes from
/// the next 64.
__device__ __forceinline__ uint64_t operand(const void* at, uint32_t chunk) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  constexpr uint64_t kEightRows = uint64_t{1024 >> 4} << 32;
  return kSwizzle128 | kEightRows | (static_cast<uint64_t>(chunk >> 4) << 16) |
         ((shared_address(at) & 0x3ffff) >> 4);
}

/// What a descriptor advances by over 16 steps of K.
template <Major major>
constexpr uint64_t kSixteen = (major == Major::kK ? 32 : 2048) >> 4;

__device__ __forceinline__ void begin_products() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Until at most `pending` committed groups are unfinished.
template <int pending>
__device__ __forceinline__ void await_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

template <int registers>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}
template <int registers>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}

#define MT_D8(i)                                                              \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), \
      "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define MT_D32(i) MT_D8(i), MT_D8(i + 8), MT_D8(i + 16), MT_D8(i + 24)

/// d (+)= a * b of a warpgroup: [64, 16] * [16, 256], bf16 into fp32. A thread holds of
/// every 8 columns two neighbours in row lane / 4 of its warp's 16, and two 8 rows below.
template <Major a_major, Major b_major>
__device__ __forceinline__ void product_64x256x16(float (&d)[128], uint64_t a, uint64_t b,
                                                  bool add) {
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "setp.ne.b32 p, %130, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
      "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
      "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
      "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, "
      "%110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, "
      "%123, %124, %125, %126, %127}, %128, %129, p, 1, 1, %131, %132;\n"
      "}\n"
      : MT_D32(0), MT_D32(32), MT_D32(64), MT_D32(96)
      : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(static_cast<int>(a_major)),
        "n"(static_cast<int>(b_major)));
}
#undef MT_D32
#undef MT_D8

}  // namespace mtrain::kernels::cuda::hopper
