// Owns the embedding lookup: checks shapes and picks the device's loops. Called by nn.
#include "mtrain/kernels/embedding.hpp"

#include <ATen/ops/empty.h>

#include "device.hpp"

namespace mtrain::kernels {

at::Tensor embedding_forward(const at::Tensor& table_VH, const at::Tensor& ids_T,
                             int64_t begin) {
  require(table_VH, require_activation(table_VH, "embedding: table"), {-1, -1},
          "embedding: table");
  require(ids_T, at::kLong, {-1}, "embedding: ids");
  at::Tensor out = at::empty({ids_T.size(0), table_VH.size(1)}, table_VH.options());
  MT_LOOPS(table_VH, embedding_forward)(table_VH, ids_T, begin, out);
  return out;
}

void embedding_backward(at::Tensor& grad_VH, const at::Tensor& dy_TH,
                        const at::Tensor& ids_T, int64_t begin) {
  require(grad_VH, at::kFloat, {-1, -1}, "embedding: grad");
  require(ids_T, at::kLong, {-1}, "embedding: ids");
  require(dy_TH, require_activation(dy_TH, "embedding: dy"),
          {ids_T.size(0), grad_VH.size(1)}, "embedding: dy");
  MT_LOOPS(grad_VH, embedding_backward)(grad_VH, dy_TH, ids_T, begin);
}

}  // namespace mtrain::kernels
