// Aligned fp32 working memory, kept from one use to the next.
#pragma once

#include <cstdint>
#include <memory>

namespace mtrain::kernels::cpu {

class Scratch {
 public:
  /// At least `count` floats, on a cache line; contents undefined.
  float* need(int64_t count) {
    if (capacity_ < count) {
      memory_ = std::make_unique_for_overwrite<float[]>(count + kLine);
      capacity_ = count;
    }
    const auto place = reinterpret_cast<uintptr_t>(memory_.get()) / sizeof(float);
    return memory_.get() + (kLine - place % kLine) % kLine;
  }

 private:
  static constexpr uintptr_t kLine = 16;  ///< floats in a cache line
  std::unique_ptr<float[]> memory_;
  int64_t capacity_ = 0;
};

}  // namespace mtrain::kernels::cpu
