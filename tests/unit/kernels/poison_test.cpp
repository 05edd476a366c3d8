// Every output is written whole: fresh memory is filled with NaN, and none is left.
#include <ATen/Context.h>

#include "mtrain/kernels/activation.hpp"
#include "mtrain/kernels/cross_entropy.hpp"
#include "mtrain/kernels/embedding.hpp"
#include "mtrain/kernels/norm.hpp"
#include "mtrain/kernels/optimizer.hpp"
#include "mtrain/kernels/rope.hpp"
#include "unit/kernels/oracle.hpp"

namespace mtrain::kernels {
namespace {

using namespace test;

constexpr double kEps = 1e-6;

/// While it lives, ATen fills what it allocates with NaN.
class Poison {
 public:
  Poison() { set(true); }
  ~Poison() { set(false); }

 private:
  static void set(bool on) {
    at::globalContext().setDeterministicAlgorithms(on, true);
    at::globalContext().setDeterministicFillUninitializedMemory(on);
  }
};

void check_whole(const std::vector<at::Tensor>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    BOOST_TEST_INFO_SCOPE("output " << i << " of " << outputs[i].sizes());
    BOOST_TEST(!outputs[i].isnan().any().item<bool>());
  }
}

void check_rows(int64_t tokens, int64_t width, at::ScalarType dtype) {
  const at::Tensor x = random({tokens, width}, dtype),
                   dy = random({tokens, width}, dtype);
  const at::Tensor weight = random({width}, dtype),
                   wide = random({tokens, 2 * width}, dtype);
  at::Tensor dweight = at::zeros({width}, on_device());
  const Poison poison;
  const AddRmsNorm norm = add_rms_norm_forward(x, dy, weight, kEps);
  const SwigluGrad swiglu = swiglu_backward_recompute(dy, wide);
  check_whole({norm.sum_TH, norm.y_TH, norm.rstd_T,
               rms_norm_apply(x, weight, norm.rstd_T),
               rms_norm_backward(dy, x, weight, norm.rstd_T, dy, dweight), dweight,
               swiglu_forward(wide), swiglu.dgate_up, swiglu.y_TF});
}

void check_heads(int64_t tokens, const QkvShape& s, at::ScalarType dtype) {
  const int64_t d = s.head_dim, normed = s.query_heads + s.kv_heads;
  const at::Tensor qkv = random({tokens, (normed + s.kv_heads) * d}, dtype);
  const at::Tensor weight = random({d}, dtype);
  at::Tensor dq = at::zeros({d}, on_device()), dk = at::zeros({d}, on_device());
  const at::Tensor positions = at::arange(tokens, on_device(at::kLong));
  const Poison poison;
  const RopeTable table = rope_table(positions, d, 1e6);
  const QkNormRope out = qk_norm_rope_forward(qkv, weight, weight, table, s, kEps);
  at::Tensor dqkv = at::empty_like(qkv);
  qk_norm_rope_backward(out.q_TND, out.k_TKD, qkv, weight, weight, out.rstd_TNK, table, s,
                        dqkv, dq, dk);
  check_whole({table.cos_TD, table.sin_TD, out.q_TND, out.k_TKD, out.rstd_TNK,
               dqkv.narrow(1, 0, normed * d), dq, dk});
}

void check_vocabulary(int64_t tokens, int64_t vocab, at::ScalarType dtype) {
  at::Tensor logits = random({tokens, vocab}, dtype);
  const at::Tensor targets = at::randint(0, vocab, {tokens}, on_device(at::kLong));
  const at::Tensor weight = at::ones({tokens}, on_device());
  at::Tensor grad = at::zeros({vocab, 40}, on_device());
  const Poison poison;
  const RowStatistics rows = cross_entropy_statistics(logits, targets, {0, vocab});
  const at::Tensor y = embedding_forward(random({vocab, 40}, dtype), targets, 0);
  embedding_backward(grad, y, targets, 0);
  check_whole({rows.max_T, rows.sum_T, rows.target_T,
               cross_entropy_(logits, targets, weight, {0, vocab}), logits, y, grad});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(poison)

BOOST_AUTO_TEST_CASE(fills_fresh_memory) {
  const Poison poison;
  BOOST_TEST(at::empty({8}, on_device()).isnan().all().item<bool>());
}

BOOST_AUTO_TEST_CASE(outputs_are_written_whole) {
  at::manual_seed(1);
  for (at::ScalarType dtype : kDtypes) {
    for (int64_t tokens : {1, 133, 3000}) {
      for (int64_t width : {3, 64, 264}) check_rows(tokens, width, dtype);
      check_heads(tokens, {4, 2, 32}, dtype);
      check_heads(tokens, {3, 1, 10}, dtype);
      check_vocabulary(tokens, 1000, dtype);
      check_vocabulary(tokens, 37, dtype);
    }
  }
  // Rows longer than what a thread block keeps in registers.
  for (at::ScalarType dtype : kDtypes)
    for (int64_t width : {2047, 2049, 8192, 8200}) check_rows(5, width, dtype);
}

BOOST_AUTO_TEST_CASE(sum_of_squares_is_written) {
  const Poison poison;
  const at::Tensor grads = at::ones({100}, on_device());
  check_whole({sum_of_squares(grads, SegmentTable({{0, 3, 90, true}}, device())),
               sum_of_squares(grads, SegmentTable({}, device()))});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::kernels
