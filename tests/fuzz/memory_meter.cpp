// Counts the memory a parser holds, for both drivers of the fuzz targets: through the
// address sanitizer's hooks where there is one, else through operator new.
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "targets.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define MTRAIN_HAS_HOOKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MTRAIN_HAS_HOOKS 1
#endif
#endif

namespace {

std::atomic<int64_t> held{0}, most{0};

void add(size_t bytes) {
  const int64_t now = held += static_cast<int64_t>(bytes);
  int64_t before = most;
  while (before < now && !most.compare_exchange_weak(before, now)) {
  }
}

void take(size_t bytes) {
  held -= static_cast<int64_t>(bytes);
}

}  // namespace

#ifdef MTRAIN_HAS_HOOKS
extern "C" int __sanitizer_install_malloc_and_free_hooks(
    void (*on_malloc)(const volatile void*, size_t),
    void (*on_free)(const volatile void*));
extern "C" size_t __sanitizer_get_allocated_size(const volatile void*);

namespace {
[[maybe_unused]] const int kInstalled = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, size_t bytes) { add(bytes); },
    [](const volatile void* memory) {
      if (memory != nullptr) take(__sanitizer_get_allocated_size(memory));
    });
}  // namespace
#else
namespace {

void* counted(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  add(malloc_usable_size(memory));
  return memory;
}

void release(void* memory) noexcept {
  if (memory != nullptr) take(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

void* operator new(size_t size) {
  return counted(std::malloc(size));
}
void* operator new(size_t size, std::align_val_t alignment) {
  const auto step = static_cast<size_t>(alignment);
  return counted(std::aligned_alloc(step, (size + step - 1) / step * step));
}
void operator delete(void* memory) noexcept {
  release(memory);
}
void operator delete(void* memory, size_t) noexcept {
  release(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  release(memory);
}
void operator delete(void* memory, size_t, std::align_val_t) noexcept {
  release(memory);
}
#endif

namespace mtrain::test {

void MemoryMeter::restart() {
  most = held.load();
  start_ = held.load();
}

int64_t MemoryMeter::peak() {
  return most - start_;
}

}  // namespace mtrain::test
