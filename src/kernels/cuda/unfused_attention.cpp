// Owns attention as matrix products and a softmax over whole scores, in fp32: the
// reference, and what fp32 models use on a GPU. Called by attention.cpp.
//
// Shapes: L tokens of one document, N query heads = K key heads x G, D head size.
#include <ATen/ATen.h>

#include <cmath>

#include "attention_backends.hpp"

namespace mtrain::kernels::cuda {
namespace {

/// Calls f(begin, length) for each document that has tokens.
template <class F>
void for_each_document(const Documents& documents, const F& f) {
  for (size_t d = 1; d < documents.offsets.size(); ++d) {
    const int64_t begin = documents.offsets[d - 1], end = documents.offsets[d];
    if (end > begin) f(begin, end - begin);
  }
}

/// One document's tensors, heads first and in fp32; the G query heads of a key head are
/// rows of one matrix.
struct Document {
  int64_t begin, length, kv_heads;

  /// [T, heads, D] -> [K, heads/K * L, D].
  at::Tensor gather(const at::Tensor& x) const {
    const int64_t group = x.size(1) / kv_heads, dim = x.size(2);
    return x.narrow(0, begin, length)
        .to(at::kFloat)
        .view({length, kv_heads, group, dim})
        .permute({1, 2, 0, 3})
        .reshape({kv_heads, group * length, dim});
  }

  /// The way back, into x's rows and dtype.
  void scatter(const at::Tensor& from, const at::Tensor& x) const {
    const int64_t heads = x.size(1), dim = x.size(2);
    x.narrow(0, begin, length).copy_(from.reshape({heads, length, dim}).transpose(0, 1));
  }

  /// [K, G*L, L], -inf where the key comes after the query.
  at::Tensor scores(const at::Tensor& q, const at::Tensor& k, double scale) const {
    const at::Tensor future =
        at::ones({length, length}, q.options().dtype(at::kBool)).triu(1);
    at::Tensor scores = at::bmm(gather(q), gather(k).transpose(1, 2)).mul_(scale);
    scores.view({-1, length, length}).masked_fill_(future, -INFINITY);
    return scores;
  }
};

}  // namespace

void unfused::forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                      const Documents& documents, const AttentionOptions& options,
                      Attention& out) {
  for_each_document(documents, [&](int64_t begin, int64_t length) {
    const Document document{begin, length, k.size(1)};
    const at::Tensor scores = document.scores(q, k, options.scale);
    const at::Tensor lse = scores.logsumexp(-1, /*keepdim=*/true);
    out.lse_NT.narrow(1, begin, length).copy_(lse.view({-1, length}));
    document.scatter(at::bmm(scores.softmax(-1), document.gather(v)), out.o_TND);
  });
}

void unfused::backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                       const at::Tensor& v, const Attention& saved,
                       const Documents& documents, const AttentionOptions& options,
                       AttentionGrad& grad) {
  for_each_document(documents, [&](int64_t begin, int64_t length) {
    const Document document{begin, length, k.size(1)};
    const at::Tensor d_o = document.gather(dout);
    const at::Tensor lse =
        saved.lse_NT.narrow(1, begin, length).reshape({k.size(1), -1, 1});
    const at::Tensor p = document.scores(q, k, options.scale).sub_(lse).exp_();
    const at::Tensor delta = (d_o * document.gather(saved.o_TND)).sum(-1, true);
    const at::Tensor dp = at::bmm(d_o, document.gather(v).transpose(1, 2));
    const at::Tensor ds = (dp - delta).mul_(p).mul_(options.scale);
    document.scatter(at::bmm(ds, document.gather(k)), grad.dq_TND);
    document.scatter(at::bmm(ds.transpose(1, 2), document.gather(q)), grad.dk_TKD);
    document.scatter(at::bmm(p.transpose(1, 2), d_o), grad.dv_TKD);
  });
}

}  // namespace mtrain::kernels::cuda
