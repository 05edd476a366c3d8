// Bringing tokens into the order of their experts, and back.
// Legend: T tokens, K choices of a token, N rows: the (token, choice) pairs, E experts, H
// hidden.
#pragma once

#include <ATen/core/Tensor.h>

namespace mtrain::kernels {

/// Pairs in the order of their expert, pairs of one expert in the order of their tokens.
struct Permutation {
  at::Tensor pairs_N;   ///< int32, token * K + choice of each row
  at::Tensor tokens_N;  ///< int32, token of each row
  at::Tensor rows_TK;   ///< int32, row of each pair; -1 where the pair has none
  at::Tensor counts_E;  ///< int32, rows of each expert
  at::Tensor ends_E;    ///< int32, rows of expert e: [ends[e-1], ends[e])
};

/// Which pairs have rows.
enum class Pairs {
  kAll,            ///< every pair has an expert: no waiting for the device
  kOfHeldExperts,  ///< those whose expert is not negative
};

/// experts_TK int32, of a token no expert twice.
Permutation permutation_by_expert(const at::Tensor& experts_TK, int64_t experts,
                                  Pairs pairs);

/// y[n] = x[index[n]].
at::Tensor gather_rows(const at::Tensor& x_TH, const at::Tensor& index_N);

/// y[t] = sum over k of x[rows[t, k]], negative rows left out: the transpose of
/// gather_rows over a permutation. Summed in fp32 in the order of k, rounded once.
at::Tensor sum_rows(const at::Tensor& x_NH, const at::Tensor& rows_TK);

}  // namespace mtrain::kernels
