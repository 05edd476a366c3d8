// Vocabulary-parallel cross-entropy against autograd in fp64, whole and cut into slices.
#include "mtrain/kernels/cross_entropy.hpp"

#include "unit/kernels/oracle.hpp"

namespace mtrain::kernels {
namespace {

using namespace test;

/// What the layer above does with the ranks' statistics.
struct Combined {
  at::Tensor lse_T, target_T;
};

Combined combine(const std::vector<RowStatistics>& parts) {
  at::Tensor max = parts[0].max_T, sum, target;
  for (const RowStatistics& part : parts) max = at::maximum(max, part.max_T);
  for (const RowStatistics& part : parts) {
    const at::Tensor scaled = part.sum_T * (part.max_T - max).exp();
    sum = sum.defined() ? sum + scaled : scaled;
    target = target.defined() ? target + part.target_T : part.target_T;
  }
  return {max + sum.log(), target};
}

/// `width` columns of which the first `valid` continue the vocabulary; the rest hold NaN,
/// which must reach nothing.
at::Tensor padded_columns(const at::Tensor& logits, int64_t begin, int64_t valid,
                          int64_t width) {
  at::Tensor out = at::full({logits.size(0), width}, NAN).to(logits.scalar_type());
  if (valid > 0) out.narrow(1, 0, valid).copy_(logits.narrow(1, begin, valid));
  return out;
}

void check_slices(int64_t tokens, int64_t vocab, int64_t width, at::ScalarType dtype) {
  BOOST_TEST_CONTEXT("T=" << tokens << " V=" << vocab << " width=" << width << " "
                          << dtype) {
    const at::Tensor logits = random({tokens, vocab}, dtype) * 3;
    at::Tensor targets = at::randint(0, vocab, {tokens}, at::kLong);
    if (tokens > 2) targets[2] = -100;
    const at::Tensor weight =
        at::where(targets.ge(0), at::rand({tokens}) + 0.5, at::zeros({tokens}));
    const at::Tensor logits64 = leaf(logits);
    const at::Tensor lse64 = logits64.logsumexp(1);
    const at::Tensor picked =
        logits64.gather(1, targets.clamp_min(0).unsqueeze(1)).squeeze(1) * targets.ge(0);
    ((lse64 - picked) * weight).sum().backward();

    std::vector<RowStatistics> parts;
    std::vector<at::Tensor> gradients;
    std::vector<VocabSlice> slices;
    for (int64_t begin = 0; begin == 0 || begin < vocab + width; begin += width) {
      const int64_t valid = std::max<int64_t>(0, std::min(width, vocab - begin));
      slices.push_back({begin, valid});
      gradients.push_back(padded_columns(logits, begin, valid, width));
      parts.push_back(cross_entropy_statistics(gradients.back(), targets, slices.back()));
    }
    const Combined whole = combine(parts);
    check_close(whole.lse_T, lse64, 4, 8, "lse");
    BOOST_TEST(at::equal(whole.target_T, picked.detach().to(at::kFloat)));
    for (size_t i = 0; i < slices.size(); ++i) {
      cross_entropy_backward_(gradients[i], whole.lse_T, targets, weight, slices[i]);
      const at::Tensor padding =
          gradients[i].narrow(1, slices[i].valid, width - slices[i].valid);
      BOOST_TEST(padding.ne(0).sum().item<int64_t>() == 0);
      gradients[i] = gradients[i].narrow(1, 0, slices[i].valid);
    }
    const at::Tensor got = at::cat(gradients, 1);
    check_close(got, logits64.grad(), 1, 32, "dlogits");
    if (tokens > 2) BOOST_TEST(got[2].ne(0).sum().item<int64_t>() == 0);
  }
}

/// Both passes in one, on a rank with the whole vocabulary and some padding.
void check_one_pass(int64_t tokens, int64_t vocab, int64_t width, at::ScalarType dtype) {
  at::Tensor logits = padded_columns(random({tokens, vocab}, dtype), 0, vocab, width);
  at::Tensor targets = at::randint(0, vocab, {tokens}, at::kLong);
  if (tokens > 2) targets[2] = -100;
  const at::Tensor weight =
      at::where(targets.ge(0), at::rand({tokens}) + 0.5, at::zeros({tokens}));
  at::Tensor expected = logits.clone();
  const RowStatistics rows = cross_entropy_statistics(logits, targets, {0, vocab});
  const at::Tensor lse = rows.max_T + rows.sum_T.log();
  cross_entropy_backward_(expected, lse, targets, weight, {0, vocab});
  const at::Tensor loss = cross_entropy_(logits, targets, weight, {0, vocab});
  check_close(loss, (lse - rows.target_T).masked_fill(targets.lt(0), 0.0), 4, 0, "loss");
  check_close(logits, expected, 1, 4, "dlogits");
  BOOST_TEST(logits.narrow(1, vocab, width - vocab).ne(0).sum().item<int64_t>() == 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cross_entropy)

BOOST_AUTO_TEST_CASE(one_pass_is_both) {
  at::manual_seed(7);
  for (at::ScalarType dtype : kDtypes) {
    for (int64_t tokens : {0, 1, 7, 80}) {
      check_one_pass(tokens, 17, 17, dtype);
      check_one_pass(tokens, 5000, 5056, dtype);
    }
  }
}

BOOST_AUTO_TEST_CASE(matches_autograd) {
  at::manual_seed(1);
  for (at::ScalarType dtype : kDtypes) {
    for (int64_t tokens : {1, 7, 80}) {
      check_slices(tokens, 17, 17, dtype);
      check_slices(tokens, 771, 400, dtype);
      check_slices(tokens, 5000, 5000, dtype);
    }
  }
}

BOOST_AUTO_TEST_CASE(no_tokens) {
  at::Tensor logits = at::empty({0, 9});
  const at::Tensor targets = at::empty({0}, at::kLong);
  const RowStatistics out = cross_entropy_statistics(logits, targets, {0, 9});
  cross_entropy_backward_(logits, out.max_T, targets, out.sum_T, {0, 9});
  BOOST_TEST(out.max_T.numel() == 0);
}

BOOST_AUTO_TEST_CASE(empty_slice_and_minus_infinity) {
  at::Tensor logits = at::full({2, 40}, -INFINITY);
  logits[0][7] = 2.0f;
  const at::Tensor targets = at::tensor({7, 7}, at::kLong);
  const RowStatistics none = cross_entropy_statistics(logits, targets, {100, 0});
  BOOST_TEST(none.max_T[0].item<float>() == -INFINITY);
  BOOST_TEST(none.sum_T[0].item<float>() == 0.0f);
  BOOST_TEST(none.target_T[0].item<float>() == 0.0f);
  const RowStatistics some = cross_entropy_statistics(logits, targets, {0, 40});
  BOOST_TEST(some.max_T[0].item<float>() == 2.0f);
  BOOST_TEST(some.sum_T[0].item<float>() == 1.0f);
  BOOST_TEST(some.sum_T[1].item<float>() == 0.0f);
  cross_entropy_backward_(logits, at::full({2}, 2.0f), targets, at::tensor({1.0f, 0.0f}),
                          {0, 40});
  BOOST_TEST(logits.ne(0).sum().item<int64_t>() == 0);
}

BOOST_AUTO_TEST_CASE(rows_of_weight_zero_become_zeros) {
  at::Tensor logits = at::full({2, 40}, NAN);
  cross_entropy_backward_(logits, at::zeros({2}), at::tensor({3, -100}, at::kLong),
                          at::zeros({2}), {0, 40});
  BOOST_TEST(logits.ne(0).sum().item<int64_t>() == 0);
}

BOOST_AUTO_TEST_CASE(nan_reaches_the_statistics) {
  at::Tensor logits = at::zeros({1, 40});
  logits[0][33] = NAN;
  const RowStatistics out =
      cross_entropy_statistics(logits, at::zeros({1}, at::kLong), {0, 40});
  BOOST_TEST(std::isnan(out.sum_T[0].item<float>()));
}

BOOST_AUTO_TEST_CASE(large_logits_do_not_overflow) {
  const at::Tensor logits = at::tensor({1e4f, -1e4f, 9.999e3f}).view({1, 3});
  const RowStatistics out =
      cross_entropy_statistics(logits, at::zeros({1}, at::kLong), {0, 3});
  BOOST_TEST(out.max_T[0].item<float>() == 1e4f);
  check_close(out.sum_T, at::full({1}, 1.0 + std::exp(-1.0), at::kDouble), 4, 0, "sum");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::kernels
