// Owns attention through LibTorch's flash kernels. Called by attention.cpp.
#include <ATen/Context.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "attention_backends.hpp"
#include "document_offsets.hpp"

namespace mtrain::kernels::cuda {
namespace {

/// LibTorch reads this choice from a process-wide switch: turned only for a call.
class DeterministicScope {
 public:
  explicit DeterministicScope(bool deterministic)
      : before_(context().deterministicAlgorithms()),
        warn_only_(context().deterministicAlgorithmsWarnOnly()),
        fill_(context().deterministicFillUninitializedMemory()) {
    context().setDeterministicAlgorithms(deterministic, false);
    context().setDeterministicFillUninitializedMemory(false);
  }
  ~DeterministicScope() {
    context().setDeterministicAlgorithms(before_, warn_only_);
    context().setDeterministicFillUninitializedMemory(fill_);
  }
  DeterministicScope(const DeterministicScope&) = delete;
  DeterministicScope& operator=(const DeterministicScope&) = delete;

 private:
  static at::Context& context() { return at::globalContext(); }
  bool before_, warn_only_, fill_;
};

/// At least 2: for single queries LibTorch takes another path, with another layout of
/// lse.
int64_t longest(const Documents& documents) {
  return std::max<int64_t>(documents.longest(), 2);
}

}  // namespace

void flash::forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const Documents& documents, const AttentionOptions& options,
                    Attention& out) {
  const at::Tensor offsets = device_offsets(documents, q.device());
  const int64_t length = longest(documents);
  const auto result = at::_flash_attention_forward(
      q, k, v, offsets, offsets, length, length, /*dropout_p=*/0.0, /*is_causal=*/true,
      /*return_debug_mask=*/false, options.scale);
  out = {std::get<0>(result), std::get<1>(result)};
}

void flash::backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                     const at::Tensor& v, const Attention& saved,
                     const Documents& documents, const AttentionOptions& options,
                     AttentionGrad& grad) {
  const DeterministicScope scope(options.deterministic);
  const at::Tensor offsets = device_offsets(documents, q.device());
  const int64_t length = longest(documents);
  // The state of a random generator that nothing draws from.
  const at::Tensor state = at::empty({2}, q.options().dtype(at::kUInt64));
  const at::Tensor unused = at::empty({0}, q.options().dtype(at::kUInt64));
  const auto [dq, dk, dv] = at::_flash_attention_backward(
      dout, q, k, v, saved.o_TND, saved.lse_NT, offsets, offsets, length, length,
      /*dropout_p=*/0.0, /*is_causal=*/true, state, unused, options.scale);
  grad.dq_TND.copy_(dq);
  grad.dk_TKD.copy_(dk);
  grad.dv_TKD.copy_(dv);
}

}  // namespace mtrain::kernels::cuda
