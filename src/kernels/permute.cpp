// Owns the order of tokens by expert: checks shapes and picks the device's loops. Called
// by nn.
#include "mtrain/kernels/permute.hpp"

#include <ATen/ops/empty.h>

#include "device.hpp"

namespace mtrain::kernels {

Permutation permutation_by_expert(const at::Tensor& experts_TK, int64_t experts,
                                  Pairs pairs) {
  require(experts_TK, at::kInt, {-1, -1}, "permutation: experts");
  const auto make = [&](at::IntArrayRef sizes) {
    return at::empty(sizes, experts_TK.options());
  };
  Permutation out;
  out.counts_E = make({experts});
  out.ends_E = make({experts});
  out.pairs_N = make({experts_TK.numel()});
  out.tokens_N = make({experts_TK.numel()});
  out.rows_TK = make(experts_TK.sizes());
  MT_LOOPS(experts_TK, permutation)(experts_TK, out);
  if (pairs == Pairs::kOfHeldExperts) {
    const int64_t rows = out.ends_E[experts - 1].item<int64_t>();
    out.pairs_N = out.pairs_N.narrow(0, 0, rows);
    out.tokens_N = out.tokens_N.narrow(0, 0, rows);
  }
  return out;
}

at::Tensor gather_rows(const at::Tensor& x_TH, const at::Tensor& index_N) {
  require(x_TH, require_activation(x_TH, "gather_rows: x"), {-1, -1}, "gather_rows: x");
  require(index_N, at::kInt, {-1}, "gather_rows: index");
  at::Tensor y = at::empty({index_N.size(0), x_TH.size(1)}, x_TH.options());
  MT_LOOPS(x_TH, gather_rows)(x_TH, index_N, y);
  return y;
}

at::Tensor sum_rows(const at::Tensor& x_NH, const at::Tensor& rows_TK) {
  require(x_NH, require_activation(x_NH, "sum_rows: x"), {-1, -1}, "sum_rows: x");
  require(rows_TK, at::kInt, {-1, -1}, "sum_rows: rows");
  at::Tensor y = at::empty({rows_TK.size(0), x_NH.size(1)}, x_NH.options());
  MT_LOOPS(x_NH, sum_rows)(x_NH, rows_TK, y);
  return y;
}

}  // namespace mtrain::kernels
