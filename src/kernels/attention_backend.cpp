// Owns the names of the attention backends, and which one runs. Called by train, and by
// the GPU's attention.
#include "attention_backend.hpp"

#include "device.hpp"
#include "mtrain/kernels/attention.hpp"

namespace mtrain::kernels {
namespace {

std::string heads_of(at::ScalarType dtype, int64_t head_dim) {
  return cat(dtype == at::kBFloat16 ? "bfloat16" : "float32", ", head size ", head_dim);
}

/// Why cuDNN cannot; empty if it can.
std::string cudnn_refusal([[maybe_unused]] at::Device device,
                          [[maybe_unused]] int64_t head_dim) {
  return MT_CUDA_OR(cudnn_attention_refusal(device, head_dim),
                    "this program was built without CUDA");
}

}  // namespace

std::string to_string(AttentionBackend backend) {
  switch (backend) {
    case AttentionBackend::kAuto:
      return "auto";
    case AttentionBackend::kCudnn:
      return "cudnn";
    case AttentionBackend::kFlash:
      return "flash";
    case AttentionBackend::kUnfused:
      return "unfused";
  }
  return "unknown";
}

bool fused_attention_takes(at::ScalarType dtype, int64_t head_dim) {
  return dtype == at::kBFloat16 && head_dim > 0 && head_dim % 8 == 0 && head_dim <= 128;
}

AttentionBackend attention_backend(AttentionBackend wanted, at::Device device,
                                   at::ScalarType dtype, int64_t head_dim) {
  if (device.is_cpu()) return AttentionBackend::kAuto;
  const bool fused = fused_attention_takes(dtype, head_dim);
  if (wanted == AttentionBackend::kUnfused) return wanted;
  if (!fused && wanted == AttentionBackend::kAuto) return AttentionBackend::kUnfused;
  if (!fused)
    throw UserError(
        cat("attention_backend = ", to_string(wanted), " takes bfloat16 and a ",
            "head_dim of 8, 16, ... 128, not ", c10::toString(dtype), " and ", head_dim),
        "use attention_backend = auto or unfused");
  if (wanted == AttentionBackend::kFlash) return wanted;
  const std::string refusal = cudnn_refusal(device, head_dim);
  if (refusal.empty()) return AttentionBackend::kCudnn;
  if (wanted == AttentionBackend::kAuto) return AttentionBackend::kFlash;
  throw UserError(cat("attention_backend = cudnn cannot run here: ", refusal),
                  "use attention_backend = auto or flash");
}

std::string describe_attention(AttentionBackend wanted, at::Device device,
                               at::ScalarType dtype, int64_t head_dim) {
  const std::string heads = heads_of(dtype, head_dim);
  if (device.is_cpu()) return cat("the CPU's kernel (", heads, ")");
  switch (attention_backend(wanted, device, dtype, head_dim)) {
    case AttentionBackend::kCudnn:
      return cat("cudnn ", MT_CUDA_OR(cudnn_version(), "?"), " (", heads, ")");
    case AttentionBackend::kFlash:
      if (wanted == AttentionBackend::kFlash) return cat("flash (", heads, "; as asked)");
      return cat("flash (", heads, "; cudnn cannot: ", cudnn_refusal(device, head_dim),
                 ")");
    default:
      if (wanted == AttentionBackend::kUnfused)
        return cat("unfused (", heads, "; as asked)");
      return cat("unfused (", heads, ": the fused kernels take bfloat16 and head sizes ",
                 "of 8, 16, ... 128 only)");
  }
}

}  // namespace mtrain::kernels
