// Attention over packed documents against autograd in fp64 with whole score matrices.
#include "mtrain/kernels/attention.hpp"

#include "mtrain/base/error.hpp"
#include "unit/kernels/attention_oracle.hpp"
#include "unit/kernels/oracle.hpp"

namespace mtrain::kernels {
namespace {

using namespace test;

struct Shape {
  int64_t query_heads, kv_heads, dim;
};

AttentionOptions scaled(double scale) {
  return {scale, AttentionBackend::kAuto, false};
}

void check_attention(const Documents& documents, const Shape& s, at::ScalarType dtype) {
  BOOST_TEST_CONTEXT("T=" << documents.offsets.back() << " documents "
                          << documents.offsets.size() - 1 << " N=" << s.query_heads
                          << " K=" << s.kv_heads << " D=" << s.dim << " " << dtype) {
    const int64_t tokens = documents.offsets.back();
    const double scale = 1.0 / std::sqrt(static_cast<double>(s.dim));
    const at::Tensor q = random({tokens, s.query_heads, s.dim}, dtype);
    const at::Tensor k = random({tokens, s.kv_heads, s.dim}, dtype);
    // v as a layer passes it: the tail of a wider row.
    const at::Tensor row = random({tokens, (s.kv_heads + 3) * s.dim}, dtype);
    const at::Tensor v =
        row.narrow(1, 3 * s.dim, s.kv_heads * s.dim).view({tokens, s.kv_heads, s.dim});
    const at::Tensor dout = random({tokens, s.query_heads, s.dim}, dtype);
    const at::Tensor q64 = leaf(q), k64 = leaf(k), v64 = leaf(v);
    const AttentionOracle want = attention_oracle(q64, k64, v64, documents, scale);
    want.o_TND.backward(dout.to(at::kDouble));

    const Attention got = attention_forward(q, k, v, documents, scaled(scale));
    // exp turns an absolute error of a score (about |s| of 8) into a relative one.
    const double depth = 16 + std::sqrt(static_cast<double>(documents.longest() + s.dim));
    check_close(got.o_TND, want.o_TND, 1, depth, "o");
    check_close(got.lse_NT, want.lse_NT, 2, depth, "lse");
    // dv as a layer passes it: the tail of a wider row.
    at::Tensor drow = at::empty_like(row);
    AttentionGrad grad{
        at::empty_like(q), at::empty_like(k),
        drow.narrow(1, 3 * s.dim, s.kv_heads * s.dim).view({tokens, s.kv_heads, s.dim})};
    attention_backward(dout, q, k, v, got, documents, scaled(scale), grad);
    // In bf16 delta comes from the rounded output, one more rounding's worth.
    check_close(grad.dq_TND, q64.grad(), 3, 4 * depth, "dq");
    check_close(grad.dk_TKD, k64.grad(), 3, 4 * depth, "dk");
    check_close(grad.dv_TKD, v64.grad(), 2, 4 * depth, "dv");
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention)

BOOST_AUTO_TEST_CASE(matches_autograd) {
  at::manual_seed(1);
  const std::vector<Documents> packings{
      {{0, 1}}, {{0, 7}}, {{0, 1, 2, 9, 9, 40}}, {{0, 16, 48, 80}}, {{0, 64, 129, 328}}};
  for (at::ScalarType dtype : kDtypes)
    for (const Documents& documents : packings)
      for (const Shape& shape : {Shape{4, 2, 32}, Shape{3, 3, 16}, Shape{6, 1, 24},
                                 Shape{2, 1, 128}, Shape{5, 1, 8}})
        check_attention(documents, shape, dtype);
}

BOOST_AUTO_TEST_CASE(long_document) {
  at::manual_seed(2);
  check_attention({{0, 1000}}, {2, 1, 64}, at::kFloat);
}

BOOST_AUTO_TEST_CASE(large_scores_stay_finite) {
  at::manual_seed(3);
  const at::Tensor q = random({70, 1, 16}) * 60, k = random({70, 1, 16}) * 60;
  const at::Tensor v = random({70, 1, 16});
  const Documents documents{{0, 70}};
  const Attention got = attention_forward(q, k, v, documents, scaled(1.0));
  const AttentionOracle want = attention_oracle(q.to(at::kDouble), k.to(at::kDouble),
                                                v.to(at::kDouble), documents, 1.0);
  // Scores near 5e4 carry errors near 5e4 * 16 roundings; their exponentials inherit
  // them.
  check_close(got.o_TND, want.o_TND, 1, 1e6, "o");
  check_close(got.lse_NT, want.lse_NT, 16, 0, "lse");
}

BOOST_AUTO_TEST_CASE(no_tokens) {
  const at::Tensor q = at::empty({0, 2, 16}), k = at::empty({0, 1, 16});
  const Attention out = attention_forward(q, k, k, {{0}}, scaled(1.0));
  BOOST_TEST(out.o_TND.numel() == 0);
  AttentionGrad grad{at::empty_like(q), at::empty_like(k), at::empty_like(k)};
  attention_backward(q, q, k, k, out, {{0}}, scaled(1.0), grad);
  BOOST_TEST(grad.dk_TKD.numel() == 0);
}

BOOST_AUTO_TEST_CASE(future_and_neighbours_are_unseen) {
  at::manual_seed(4);
  at::Tensor q = random({100, 2, 16}), k = random({100, 2, 16}), v = random({100, 2, 16});
  const Documents documents{{0, 30, 100}};
  const at::Tensor before = attention_forward(q, k, v, documents, scaled(0.25)).o_TND;
  k[80].fill_(9);
  v[80].fill_(9);
  const at::Tensor after = attention_forward(q, k, v, documents, scaled(0.25)).o_TND;
  BOOST_TEST(at::equal(before.narrow(0, 0, 80), after.narrow(0, 0, 80)));
  BOOST_TEST(!at::equal(before.narrow(0, 80, 1), after.narrow(0, 80, 1)));
}

BOOST_AUTO_TEST_CASE(threads_do_not_change_results) {
  at::manual_seed(5);
  const at::Tensor q = random({400, 4, 32}), k = random({400, 2, 32}),
                   dout = random({400, 4, 32});
  const Documents documents{{0, 150, 190, 400}};
  check_threads([&]() -> std::vector<at::Tensor> {
    const Attention out = attention_forward(q, k, k, documents, scaled(0.2));
    AttentionGrad grad{at::empty_like(q), at::empty_like(k), at::empty_like(k)};
    attention_backward(dout, q, k, k, out, documents, scaled(0.2), grad);
    return {out.o_TND, out.lse_NT, grad.dq_TND, grad.dk_TKD, grad.dv_TKD};
  });
}

BOOST_AUTO_TEST_CASE(refuses_documents_that_do_not_fit) {
  const at::Tensor q = at::ones({4, 2, 16});
  BOOST_CHECK_THROW(attention_forward(q, q, q, {{0, 3}}, scaled(1.0)), Error);
  BOOST_CHECK_THROW(attention_forward(q, q, q, {{0, 3, 2, 4}}, scaled(1.0)), Error);
  BOOST_CHECK_THROW(attention_forward(q, at::ones({4, 3, 16}), q, {{0, 4}}, scaled(1.0)),
                    Error);
}

BOOST_AUTO_TEST_CASE(longest_document) {
  BOOST_TEST((Documents{{0, 3, 10, 12}}.longest()) == 7);
  BOOST_TEST((Documents{{0, 9, 10}}.longest()) == 9);
  BOOST_TEST((Documents{{0}}.longest()) == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::kernels
