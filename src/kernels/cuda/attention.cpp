// Owns the choice between the GPU's attention kernels. Called by kernels/attention.cpp.
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>

#include <mutex>

#include "../attention_backend.hpp"
#include "attention_backends.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "ops.hpp"

namespace mtrain::kernels::cuda {
namespace {

AttentionBackend choose(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                        const Documents& documents, const AttentionOptions& options) {
  const AttentionBackend wanted = options.backend;
  const bool fused = fused_attention_takes(q.scalar_type(), q.size(2));
  if (wanted == AttentionBackend::kUnfused) return wanted;
  if (!fused && wanted == AttentionBackend::kAuto) return AttentionBackend::kUnfused;
  MT_CHECK(fused, to_string(wanted), " attention of ", q.scalar_type(), " heads of ",
           q.size(2), ": attention_backend() refuses it");
  if (wanted != AttentionBackend::kAuto) return wanted;
  const std::string refusal = cudnn::refusal(q, k, v, documents, options);
  if (refusal.empty()) return AttentionBackend::kCudnn;
  static std::once_flag logged;
  std::call_once(logged, [&] {
    log::warning(cat("attention: flash instead of cuDNN for ", documents.count(),
                     " documents of up to ", documents.longest(), " tokens: ", refusal));
  });
  return AttentionBackend::kFlash;
}

}  // namespace

std::string cudnn_attention_refusal(at::Device device, int64_t head_dim) {
  const c10::cuda::CUDAGuard guard(device);
  const at::Tensor x =
      at::empty({128, 1, head_dim}, at::TensorOptions(device).dtype(at::kBFloat16));
  return cudnn::refusal(x, x, x, {{0, 64, 128}}, {1.0, AttentionBackend::kCudnn, false});
}

void attention_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const Documents& documents, const AttentionOptions& options,
                       Attention& out) {
  if (q.size(0) == 0) return;
  switch (choose(q, k, v, documents, options)) {
    case AttentionBackend::kCudnn:
      return cudnn::forward(q, k, v, documents, options, out);
    case AttentionBackend::kFlash:
      return flash::forward(q, k, v, documents, options, out);
    default:
      return unfused::forward(q, k, v, documents, options, out);
  }
}

void attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                        const at::Tensor& v, const Attention& saved,
                        const Documents& documents, const AttentionOptions& options,
                        AttentionGrad& grad) {
  if (q.size(0) == 0) return;
  switch (choose(q, k, v, documents, options)) {
    case AttentionBackend::kCudnn:
      return cudnn::backward(dout, q, k, v, saved, documents, options, grad);
    case AttentionBackend::kFlash:
      return flash::backward(dout, q, k, v, saved, documents, options, grad);
    default:
      return unfused::backward(dout, q, k, v, saved, documents, options, grad);
  }
}

}  // namespace mtrain::kernels::cuda
