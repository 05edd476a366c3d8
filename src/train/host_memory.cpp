// An allocator around LibTorch's own; installed when a run computes on the CPU.
#include "host_memory.hpp"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>
#include <malloc.h>

#include <atomic>

#include "mtrain/base/text.hpp"

namespace mtrain::train {
namespace {

std::atomic<int64_t> held{0}, peak{0};

/// Bytes of a block as the C library sees it, so that they need not be kept beside it.
int64_t block_bytes(void* block) {
  return static_cast<int64_t>(malloc_usable_size(block));
}

void count(void* block) {
  const int64_t now =
      held.fetch_add(block_bytes(block), std::memory_order_relaxed) + block_bytes(block);
  int64_t highest = peak.load(std::memory_order_relaxed);
  while (now > highest &&
         !peak.compare_exchange_weak(highest, now, std::memory_order_relaxed)) {
  }
}

void release(void* block) {
  if (!block) return;
  held.fetch_sub(block_bytes(block), std::memory_order_relaxed);
  c10::free_cpu(block);
}

/// LibTorch says "enforce failed" where memory is out; callers want the kind by its type.
void* allocate_block(size_t bytes) {
  try {
    return c10::alloc_cpu(bytes);
  } catch (const c10::Error&) {
    TORCH_CHECK_WITH(OutOfMemoryError, false, "no room for a tensor of ",
                     human_bytes(static_cast<double>(bytes)), " in host memory");
  }
}

class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* block = allocate_block(bytes);
    if (block) count(block);
    return {block, block, &release, c10::DeviceType::CPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};

}  // namespace

void count_host_tensors() {
  static CountingAllocator allocator;
  c10::SetCPUAllocator(&allocator);
}

int64_t peak_host_tensor_bytes() {
  return peak.load(std::memory_order_relaxed);
}

}  // namespace mtrain::train
