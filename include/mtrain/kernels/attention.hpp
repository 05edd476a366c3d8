// Causal grouped-query attention over packed documents.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace mtrain::kernels {

/// The documents of a packed row: document d holds tokens offsets[d] .. offsets[d+1]-1,
/// and a token attends to earlier tokens of its own document only. offsets.front() == 0,
/// back() == T.
struct Documents {
  std::vector<int64_t> offsets;
  at::Tensor offsets_on_device =
      {};  ///< int32 copy beside the activations; GPU kernels only
  int64_t longest() const;
  int64_t count() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

/// Which kernel computes attention on a GPU. The CPU has one, whatever is asked for.
enum class AttentionBackend {
  kAuto,     ///< the first of the following that can take dtype and head size
  kCudnn,    ///< cuDNN's fused kernels, bf16 only
  kFlash,    ///< LibTorch's flash attention, bf16 only
  kUnfused,  ///< matrix products and a softmax with whole scores: the reference
};
std::string to_string(AttentionBackend backend);

struct AttentionOptions {
  double scale;  ///< of the scores, 1/sqrt(D)
  AttentionBackend backend;
  bool deterministic;  ///< gradients summed in a fixed order, at some cost
};

/// The backend that runs for heads of `head_dim` in `dtype` on `device`: never kAuto on a
/// GPU, always kAuto on the CPU. Throws UserError when the one asked for cannot.
AttentionBackend attention_backend(AttentionBackend wanted, at::Device device,
                                   at::ScalarType dtype, int64_t head_dim);

/// One line for the log: what attention_backend() chooses, and why. Throws like it.
std::string describe_attention(AttentionBackend wanted, at::Device device,
                               at::ScalarType dtype, int64_t head_dim);

struct Attention {
  at::Tensor o_TND;   ///< dtype of q
  at::Tensor lse_NT;  ///< fp32 log-sum-exp of the scaled scores; N x T numbers whose
                      ///< order in memory is cuDNN's own with kCudnn
};

/// softmax(q k^T * scale, causal within each document) v. q [T, N, D] contiguous; k [T,
/// K, D] and v [T, K, D] may be strided over tokens (v is a view into the fused qkv row)
/// but must be contiguous over (K, D). N is a multiple of K; query head n uses key head n
/// / (N/K). Scores and sums in fp32; scores are never whole in memory (but by kUnfused).
Attention attention_forward(const at::Tensor& q_TND, const at::Tensor& k_TKD,
                            const at::Tensor& v_TKD, const Documents& documents,
                            const AttentionOptions& options);

/// Where gradients go: allocated by the caller, in q's dtype. dq [T, N, D] and dk [T, K,
/// D] contiguous; dv [T, K, D] may be strided over tokens like v.
struct AttentionGrad {
  at::Tensor dq_TND;
  at::Tensor dk_TKD;
  at::Tensor dv_TKD;
};

/// Gradients, recomputing probabilities from lse (Dao, FlashAttention-2, section 3.1).
void attention_backward(const at::Tensor& do_TND, const at::Tensor& q_TND,
                        const at::Tensor& k_TKD, const at::Tensor& v_TKD,
                        const Attention& saved, const Documents& documents,
                        const AttentionOptions& options, AttentionGrad& grad);

}  // namespace mtrain::kernels
