// The fused q/k norm and rotary embedding against autograd in fp64.
#include "mtrain/kernels/rope.hpp"

#include "unit/kernels/oracle.hpp"

namespace mtrain::kernels {
namespace {

using namespace test;

constexpr double kEps = 1e-6;
constexpr double kRatio = 65536;  // a rounding to bf16 over one to fp32

at::Tensor norm(const at::Tensor& x, const at::Tensor& weight) {
  return weight * (x * (x.square().mean(-1, true) + kEps).rsqrt());
}

/// x cos + rotate_half(x) sin, as HF writes it.
at::Tensor rotate(const at::Tensor& x, const RopeTable& table) {
  const at::Tensor cos = at::cat({table.cos_TD, table.cos_TD}, 1).unsqueeze(1);
  const at::Tensor sin = at::cat({table.sin_TD, table.sin_TD}, 1).unsqueeze(1);
  const std::vector<at::Tensor> halves = x.chunk(2, -1);
  return x * cos.to(x.scalar_type()) +
         at::cat({-halves[1], halves[0]}, -1) * sin.to(x.scalar_type());
}

void check_fused(int64_t tokens, const QkvShape& s, at::ScalarType dtype) {
  BOOST_TEST_CONTEXT("T=" << tokens << " N=" << s.query_heads << " K=" << s.kv_heads
                          << " D=" << s.head_dim << " " << dtype) {
    const int64_t n = s.query_heads, k = s.kv_heads, d = s.head_dim;
    const RopeTable table = rope_table(at::arange(tokens) + 3, d, 10000.0);
    const at::Tensor qkv = random({tokens, (n + 2 * k) * d}, dtype);
    const at::Tensor q_weight = random({d}, dtype), k_weight = random({d}, dtype);
    const at::Tensor dq = random({tokens, n, d}, dtype),
                     dk = random({tokens, k, d}, dtype);
    const at::Tensor dv = random({tokens, k, d}, dtype);
    const at::Tensor qkv64 = leaf(qkv), qw64 = leaf(q_weight), kw64 = leaf(k_weight);
    const at::Tensor heads = qkv64.view({tokens, n + 2 * k, d});
    const at::Tensor q64 = rotate(norm(heads.narrow(1, 0, n), qw64), table);
    const at::Tensor k64 = rotate(norm(heads.narrow(1, n, k), kw64), table);
    const at::Tensor v64 = heads.narrow(1, n + k, k);
    ((q64 * dq).sum() + (k64 * dk).sum() + (v64 * dv).sum()).backward();

    const QkNormRope out = qk_norm_rope_forward(qkv, q_weight, k_weight, table, s, kEps);
    check_close(out.q_TND, q64, 4, 10, "q");
    check_close(out.k_TKD, k64, 4, 10, "k");
    at::Tensor dqw = at::full({d}, 1.0f), dkw = at::full({d}, -1.0f);
    at::Tensor dqkv = at::empty_like(qkv);
    dqkv.narrow(1, (n + k) * d, k * d).copy_(dv.flatten(1));
    qk_norm_rope_backward(dq, dk, qkv, q_weight, k_weight, out.rstd_TNK, table, s, dqkv,
                          dqw, dkw);
    const double depth = 10 + std::sqrt(static_cast<double>(tokens * n + d));
    const double summand = dtype == at::kBFloat16 ? kRatio : 0;
    check_close(dqkv, qkv64.grad(), 2, depth, "dqkv");
    check_close(dqw - 1.0f, qw64.grad(), 4, depth + summand, "dq_weight");
    check_close(dkw + 1.0f, kw64.grad(), 4, depth + summand, "dk_weight");
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rope)

BOOST_AUTO_TEST_CASE(table_matches_its_formula) {
  const at::Tensor positions = at::tensor({0, 1, 2, 511, 40000}, at::kLong);
  const RopeTable table = rope_table(positions, 16, 1e6);
  for (int64_t t = 0; t < positions.numel(); ++t) {
    for (int64_t i = 0; i < 8; ++i) {
      const float inverse = 1.0f / std::pow(1e6f, static_cast<float>(2 * i) / 16.0f);
      const float angle = static_cast<float>(positions[t].item<int64_t>()) * inverse;
      // One ulp of the inverse frequency moves the angle by one ulp of itself.
      const double slack = 2.5e-7 * (1.0 + angle);
      BOOST_TEST(std::abs(table.cos_TD[t][i].item<float>() - std::cos(angle)) <= slack);
      BOOST_TEST(std::abs(table.sin_TD[t][i].item<float>() - std::sin(angle)) <= slack);
    }
  }
}

BOOST_AUTO_TEST_CASE(matches_autograd) {
  at::manual_seed(1);
  for (at::ScalarType dtype : kDtypes)
    for (int64_t tokens : {0, 1, 7, 300})
      for (int64_t dim : {16, 24, 32, 64, 128})
        check_fused(tokens, {dim == 32 ? 4 : 2, dim == 32 ? 2 : 1, dim}, dtype);
}

BOOST_AUTO_TEST_CASE(threads_do_not_change_results) {
  at::manual_seed(2);
  const QkvShape shape{4, 2, 32};
  const RopeTable table = rope_table(at::arange(900), 32, 1e4);
  const at::Tensor qkv = random({900, 256}), weight = random({32}),
                   dq = random({900, 4, 32});
  const at::Tensor dk = random({900, 2, 32});
  check_threads([&]() -> std::vector<at::Tensor> {
    const QkNormRope out = qk_norm_rope_forward(qkv, weight, weight, table, shape, kEps);
    at::Tensor dqw = at::zeros({32}), dkw = at::zeros({32});
    at::Tensor dqkv = at::zeros_like(qkv);
    qk_norm_rope_backward(dq, dk, qkv, weight, weight, out.rstd_TNK, table, shape, dqkv,
                          dqw, dkw);
    return {out.q_TND, out.k_TKD, dqkv, dqw, dkw};
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::kernels
