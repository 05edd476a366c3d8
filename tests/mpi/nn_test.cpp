// Tensor-parallel layers, with and without sequence parallelism, against one rank's
// arithmetic in fp64: outputs, input gradients and weight gradients.
#define BOOST_TEST_MODULE mpi_nn
#include "support/mpi_main.hpp"
//
#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "mtrain/base/error.hpp"
#include "mtrain/nn/linear.hpp"
#include "mtrain/nn/vocab.hpp"

using namespace mtrain;
using namespace mtrain::nn;
using parallel::Parameter;

namespace {

constexpr int64_t kTokens = 24, kIn = 12, kOut = 20;
/// fp32 sums of a few dozen products of numbers near 1.
constexpr double kTolerance = 2e-6;

/// The world as one tensor-parallel group, and this rank's place in it.
struct Ranks {
  Ranks() : group(make()), rank(group->rank()), size(group->size()) {}

  static std::unique_ptr<comm::Communicator> make() {
    std::vector<int> ranks(static_cast<size_t>(test::session().world_size()));
    std::iota(ranks.begin(), ranks.end(), 0);
    return test::session().make_group("tensor", ranks, test::backend());
  }

  /// This rank's part of a dimension.
  at::Tensor part(const at::Tensor& x, int64_t dim) const {
    return x.chunk(size, dim)[static_cast<size_t>(rank)].contiguous();
  }
  /// What a rank holds outside the tensor-parallel region.
  at::Tensor outside(const at::Tensor& x, bool sequence_parallel) const {
    return sequence_parallel ? part(x, 0) : x;
  }

  std::unique_ptr<comm::Communicator> group;
  int rank, size;
};

/// The same values on every rank.
at::Tensor random(at::IntArrayRef shape, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn(shape);
}

/// A parameter whose gradient holds 1 everywhere, to see that layers add to it.
Parameter parameter(const at::Tensor& weight) {
  Parameter p;
  p.weight = weight;
  p.grad = at::ones(weight.sizes(), at::kFloat);
  return p;
}

void check_close(const at::Tensor& found, const at::Tensor& expected, const char* what,
                 double tolerance = kTolerance) {
  BOOST_REQUIRE_MESSAGE(found.sizes() == expected.sizes(),
                        what << ": shape " << found.sizes());
  const double scale = std::max(1.0, expected.abs().max().item<double>());
  const double error =
      (found.to(at::kDouble) - expected.to(at::kDouble)).abs().max().item<double>();
  BOOST_CHECK_MESSAGE(error <= tolerance * scale, what << " off by " << error / scale);
}

void check_weight_gradient(const Parameter& p, const at::Tensor& expected) {
  check_close(p.grad - 1, expected, "weight gradient");
}

template <class Check>
void with_and_without_sequence_parallelism(const Check& check) {
  const Ranks ranks;
  for (const bool sequence_parallel : {false, true}) {
    const TensorRegion region(*ranks.group, sequence_parallel);
    BOOST_TEST(region.sequence_parallel() == (sequence_parallel && ranks.size > 1));
    BOOST_TEST(region.outside_tokens(kTokens) ==
               (region.sequence_parallel() ? kTokens / ranks.size : kTokens));
    BOOST_TEST_CONTEXT((sequence_parallel ? "with" : "without")
                       << " sequence parallelism") {
      check(ranks, region);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(column_linear) {
  const at::Tensor x = random({kTokens, kIn}, 1), w = random({kOut, kIn}, 2);
  const at::Tensor dy = random({kTokens, kOut}, 3);
  with_and_without_sequence_parallelism([&](const Ranks& ranks,
                                            const TensorRegion& region) {
    const bool split = region.sequence_parallel();
    Parameter p = parameter(ranks.part(w, 0));
    const ColumnLinear layer(p, region);
    const at::Tensor mine = ranks.outside(x, split);
    check_close(layer.forward(mine),
                ranks.part(at::mm(x.to(at::kDouble), w.to(at::kDouble).t()), 1),
                "output");
    const at::Tensor dx = layer.backward(ranks.part(dy, 1), mine);
    check_close(dx, ranks.outside(at::mm(dy.to(at::kDouble), w.to(at::kDouble)), split),
                "input gradient");
    check_weight_gradient(
        p, ranks.part(at::mm(dy.to(at::kDouble).t(), x.to(at::kDouble)), 0));
  });
}

BOOST_AUTO_TEST_CASE(row_linear) {
  const at::Tensor x = random({kTokens, kIn}, 4), w = random({kOut, kIn}, 5);
  const at::Tensor dy = random({kTokens, kOut}, 6);
  with_and_without_sequence_parallelism([&](const Ranks& ranks,
                                            const TensorRegion& region) {
    const bool split = region.sequence_parallel();
    Parameter p = parameter(ranks.part(w, 1));
    const RowLinear layer(p, region);
    const at::Tensor mine = ranks.part(x, 1);
    check_close(layer.forward(mine),
                ranks.outside(at::mm(x.to(at::kDouble), w.to(at::kDouble).t()), split),
                "output");
    const at::Tensor dx = layer.backward(ranks.outside(dy, split), mine);
    check_close(dx, ranks.part(at::mm(dy.to(at::kDouble), w.to(at::kDouble)), 1),
                "input gradient");
    check_weight_gradient(
        p, ranks.part(at::mm(dy.to(at::kDouble).t(), x.to(at::kDouble)), 1));
  });
}

namespace {

constexpr int64_t kVocab = 21, kHidden = 6;

/// This rank's slice of a vocabulary of kVocab in `rows` rows. Padding rows hold a value
/// so large that any use of it shows.
struct VocabPart {
  VocabPart(const Ranks& ranks, const at::Tensor& table, int64_t rows)
      : slice{ranks.rank * rows,
              std::clamp<int64_t>(kVocab - ranks.rank * rows, 0, rows)},
        held(at::full({rows, kHidden}, 50.0, at::kFloat)) {
    held.narrow(0, 0, slice.valid).copy_(of(table));
  }

  at::Tensor of(const at::Tensor& table) const {
    return slice.valid > 0 ? table.narrow(0, slice.begin, slice.valid)
                           : at::empty({0, kHidden}, table.options());
  }

  /// The gradient: `expected` in the rows of the vocabulary, none in the padding.
  void check_gradient(const Parameter& p, const at::Tensor& expected) const {
    const at::Tensor found = p.grad - 1;
    if (slice.valid > 0) {
      check_close(found.narrow(0, 0, slice.valid), of(expected), "table gradient");
    }
    const at::Tensor padding = found.narrow(0, slice.valid, found.size(0) - slice.valid);
    BOOST_TEST(at::equal(padding, at::zeros_like(padding)));
  }

  kernels::VocabSlice slice;
  at::Tensor held;
};

/// Rows per rank: exactly enough, some padding, so many that rank 0 holds the whole
/// vocabulary.
std::vector<int64_t> rows_per_rank(const Ranks& ranks) {
  const int64_t enough = (kVocab + ranks.size - 1) / ranks.size;
  return {enough, enough + 3, kVocab + 3};
}

template <class Check>
void for_all_slices(const at::Tensor& table, const Check& check) {
  with_and_without_sequence_parallelism(
      [&](const Ranks& ranks, const TensorRegion& region) {
        for (const int64_t rows : rows_per_rank(ranks)) {
          BOOST_TEST_CONTEXT(rows << " rows per rank") {
            check(ranks, region, VocabPart(ranks, table, rows));
          }
        }
      });
}

/// Every entry of the vocabulary, some twice.
at::Tensor ids() {
  return at::arange(kTokens, at::kLong).mul(5).remainder(kVocab);
}

/// One row per token, 1 at its id; none for ignored tokens.
at::Tensor indicators(const at::Tensor& index_T, int64_t columns) {
  at::Tensor result = at::zeros({index_T.size(0), columns}, at::kDouble);
  for (int64_t t = 0; t < index_T.size(0); ++t) {
    const int64_t column = index_T[t].item<int64_t>();
    if (column >= 0) result[t][column] = 1.0;
  }
  return result;
}

}  // namespace

BOOST_AUTO_TEST_CASE(embedding) {
  const at::Tensor table = random({kVocab, kHidden}, 7);
  const at::Tensor dy = random({kTokens, kHidden}, 8);
  for_all_slices(
      table, [&](const Ranks& ranks, const TensorRegion& region, const VocabPart& part) {
        const bool split = region.sequence_parallel();
        Parameter p = parameter(part.held);
        const Embedding layer(p, region, part.slice.begin);
        MicroBatch batch;
        batch.ids_T = ids();
        const at::Tensor y = layer.forward(batch);
        BOOST_TEST(at::equal(y, ranks.outside(table.index_select(0, ids()), split)));
        layer.backward(ranks.outside(dy, split), batch);
        part.check_gradient(p, at::mm(indicators(ids(), kVocab).t(), dy.to(at::kDouble)));
      });
}

namespace {

/// The loss head of one rank, in fp64.
struct LossReference {
  LossReference(const at::Tensor& x, const at::Tensor& w, const MicroBatch& batch) {
    const at::Tensor logits = at::mm(x.to(at::kDouble), w.to(at::kDouble).t());
    const at::Tensor target = indicators(batch.targets_T, w.size(0));
    const at::Tensor trained = batch.targets_T.ge(0).to(at::kDouble);
    const at::Tensor log_p = logits.log_softmax(1);
    token_loss = -(log_p * target).sum(1);
    const at::Tensor weight = (batch.weights_T.to(at::kDouble) * trained).unsqueeze(1);
    const at::Tensor d_logits = (log_p.exp() - target) * weight;
    dx = at::mm(d_logits, w.to(at::kDouble));
    dw = at::mm(d_logits.t(), x.to(at::kDouble));
  }
  at::Tensor token_loss, dx, dw;
};

/// Targets over the whole vocabulary; some ignored, one with weight 0, uneven weights.
MicroBatch targets(int64_t tokens, int64_t vocab) {
  MicroBatch batch;
  batch.targets_T = at::arange(tokens, at::kLong).mul(4).add(3).remainder(vocab);
  batch.weights_T =
      at::arange(tokens, at::kFloat).add(1).div(static_cast<double>(tokens));
  for (const int64_t ignored : {int64_t{0}, int64_t{7}, tokens - 1}) {
    batch.targets_T[ignored] = -100;
    batch.weights_T[ignored] = 0.0;
  }
  batch.weights_T[5] = 0.0;
  return batch;
}

}  // namespace

BOOST_AUTO_TEST_CASE(loss_head) {
  const at::Tensor w = random({kVocab, kHidden}, 9), x = random({kTokens, kHidden}, 10);
  const MicroBatch batch = targets(kTokens, kVocab);
  const LossReference expected(x, w, batch);
  for_all_slices(
      w, [&](const Ranks& ranks, const TensorRegion& region, const VocabPart& part) {
        const bool split = region.sequence_parallel();
        Parameter p = parameter(part.held);
        const LossHead head(p, region, part.slice);
        const auto result = head.forward(ranks.outside(x, split), batch, true, {});
        check_close(result.token_loss_T, expected.token_loss, "token losses");
        check_close(result.dx_TH, ranks.outside(expected.dx, split), "input gradient");
        part.check_gradient(p, expected.dw);
      });
}

BOOST_AUTO_TEST_CASE(loss_head_without_training_leaves_the_gradients_alone) {
  const at::Tensor w = random({kVocab, kHidden}, 9), x = random({kTokens, kHidden}, 10);
  const MicroBatch batch = targets(kTokens, kVocab);
  const LossReference expected(x, w, batch);
  for_all_slices(
      w, [&](const Ranks& ranks, const TensorRegion& region, const VocabPart& part) {
        Parameter p = parameter(part.held);
        const LossHead head(p, region, part.slice);
        const auto result =
            head.forward(ranks.outside(x, region.sequence_parallel()), batch, false, {});
        check_close(result.token_loss_T, expected.token_loss, "token losses");
        BOOST_TEST(!result.dx_TH.defined());
        BOOST_TEST(at::equal(p.grad, at::ones_like(p.grad)));
      });
}

// Logits far from zero: the largest of all ranks has to come off before the exponential.
BOOST_AUTO_TEST_CASE(loss_head_with_large_logits) {
  const at::Tensor w = random({kVocab, kHidden}, 9).mul(40);
  const at::Tensor x = random({kTokens, kHidden}, 10).mul(40);
  const MicroBatch batch = targets(kTokens, kVocab);
  const LossReference expected(x, w, batch);
  for_all_slices(
      w, [&](const Ranks& ranks, const TensorRegion& region, const VocabPart& part) {
        Parameter p = parameter(part.held);
        const LossHead head(p, region, part.slice);
        const auto result =
            head.forward(ranks.outside(x, region.sequence_parallel()), batch, true, {});
        check_close(result.token_loss_T, expected.token_loss, "token losses");
      });
}

// A vocabulary so large that the tokens go through in two chunks, against a few tokens at
// a time, which do not.
BOOST_AUTO_TEST_CASE(loss_head_in_chunks) {
  if (test::session().world_size() > 1) return;
  constexpr int64_t kLarge = 1 << 18, kMore = 66, kFew = 22;
  const Ranks ranks;
  const TensorRegion region(*ranks.group, false);
  const at::Tensor w = random({kLarge, 2}, 11), x = random({kMore, 2}, 12);
  const MicroBatch batch = targets(kMore, kLarge);
  Parameter p = parameter(w), q = parameter(w);
  const auto whole = LossHead(p, region, {0, kLarge}).forward(x, batch, true, {});
  std::vector<at::Tensor> losses, dx;
  for (int64_t begin = 0; begin < kMore; begin += kFew) {
    MicroBatch few;
    few.targets_T = batch.targets_T.narrow(0, begin, kFew);
    few.weights_T = batch.weights_T.narrow(0, begin, kFew);
    const auto part =
        LossHead(q, region, {0, kLarge}).forward(x.narrow(0, begin, kFew), few, true, {});
    losses.push_back(part.token_loss_T);
    dx.push_back(part.dx_TH);
  }
  check_close(whole.token_loss_T, at::cat(losses), "token losses");
  check_close(p.grad, q.grad, "weight gradient");
  // Each is an fp32 sum over 262144 entries.
  check_close(whole.dx_TH, at::cat(dx), "input gradient", 1e-3);
}

// The caller pads micro-batches; a length that slipped through must not be cut short.
BOOST_AUTO_TEST_CASE(tokens_that_do_not_split_are_refused) {
  const Ranks ranks;
  if (ranks.size == 1) return;
  const TensorRegion region(*ranks.group, true);
  BOOST_CHECK_THROW(region.leave(at::zeros({ranks.size * 2 + 1, 3})), Error);
}
