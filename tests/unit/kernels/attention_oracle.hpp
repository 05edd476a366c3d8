// Attention over packed documents with whole score matrices, for autograd in fp64.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "mtrain/kernels/attention.hpp"

namespace mtrain::kernels::test {

struct AttentionOracle {
  at::Tensor o_TND, lse_NT;
};

/// Document by document: softmax of the masked scores, each key head repeated for its
/// group.
inline AttentionOracle attention_oracle(const at::Tensor& q, const at::Tensor& k,
                                        const at::Tensor& v, const Documents& documents,
                                        double scale) {
  const int64_t group = q.size(1) / k.size(1);
  std::vector<at::Tensor> outputs, lses;
  for (size_t d = 1; d < documents.offsets.size(); ++d) {
    const int64_t begin = documents.offsets[d - 1], length = documents.offsets[d] - begin;
    const auto heads_first = [&](const at::Tensor& x, int64_t repeat) {
      return x.narrow(0, begin, length).repeat_interleave(repeat, 1).transpose(0, 1);
    };
    const at::Tensor scores =
        at::matmul(heads_first(q, 1), heads_first(k, group).transpose(1, 2)) * scale;
    const at::Tensor future = at::ones({length, length}, at::kBool).triu(1);
    const at::Tensor masked = scores.masked_fill(future, -INFINITY);
    outputs.push_back(
        at::matmul(masked.softmax(-1), heads_first(v, group)).transpose(0, 1));
    lses.push_back(masked.logsumexp(-1));
  }
  return {at::cat(outputs, 0), at::cat(lses, 1)};
}

}  // namespace mtrain::kernels::test
