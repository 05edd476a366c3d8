// Qwen3-MoE against the reference: routing, losses and every gradient, in each layout of
// experts the number of ranks allows.
#define BOOST_TEST_MODULE golden_moe
#include "support/mpi_main.hpp"
//
#include <map>

#include "harness.hpp"

using namespace mtrain;
using namespace mtrain::golden;

namespace {

constexpr const char* kModels[] = {"tiny-qwen3-moe", "tiny-qwen3-moe-mixed"};
constexpr double kWeightTolerance = 1.5e-5;

Layout with_experts(Layout layout, int expert, int expert_tensor,
                    nn::DispatcherKind dispatcher = nn::DispatcherKind::kAllToAll) {
  layout.expert = expert;
  layout.expert_tensor = expert_tensor;
  layout.experts.dispatcher = dispatcher;
  return layout;
}

std::vector<Layout> layouts() {
  models::Recompute none, uniform, selective;
  uniform.full = models::Recompute::Full::kUniform;
  uniform.layers = 2;
  selective.selective = {true, true, true, true, true};
  constexpr auto kGather = nn::DispatcherKind::kAllGather;
  if (ranks() == 1) {
    return {{}, {1, 1, 1, false, false, uniform}, {1, 1, 1, false, false, selective}};
  }
  const Layout tp{.tensor = 2}, sp{.tensor = 2, .sequence_parallel = true};
  if (ranks() == 2) {
    return {{},
            with_experts({.sharded = true, .bucket_elements = 20000}, 2, 1),
            with_experts({}, 2, 1, kGather),
            with_experts({.recompute = selective}, 2, 1),
            {.pipeline = 2, .chunks = 2},
            tp,
            sp,
            with_experts(sp, 2, 1),
            with_experts(sp, 2, 1, kGather),
            with_experts(tp, 1, 2),
            with_experts(sp, 1, 2)};
  }
  const Layout both{
      .tensor = 2, .sequence_parallel = true, .sharded = true, .bucket_elements = 20000};
  return {with_experts({.sharded = true, .recompute = uniform}, 4, 1),
          with_experts({.sharded = true}, 2, 1),
          with_experts({.pipeline = 2}, 2, 1),
          with_experts(both, 1, 1),
          with_experts(tp, 2, 1),
          with_experts(both, 2, 1),
          with_experts(both, 4, 1, kGather),
          with_experts(both, 2, 2),
          with_experts(tp, 2, 2, kGather),
          with_experts(tp, 1, 2)};
}

/// What was seen under `prefix`, by layer, all rows of the case one after the other.
std::map<std::string, at::Tensor> joined(
    const std::map<std::string, std::vector<at::Tensor>>& seen) {
  std::map<std::string, at::Tensor> all;
  for (const auto& [where, parts] : seen) all[where] = at::cat(parts);
  return all;
}

/// The reference's tensor without the last position of each row, which predicts nothing.
at::Tensor without_last(const at::Tensor& x, int64_t rows) {
  return x.view({rows, -1, x.size(1)}).narrow(1, 0, x.size(0) / rows - 1).flatten(0, 1);
}

}  // namespace

BOOST_AUTO_TEST_CASE(gradients) {
  for (const char* model : kModels) {
    const GoldenCase golden(cat(model, "/fwdbwd"));
    for (const Layout& layout : layouts()) check_forward_backward(golden, layout);
  }
}

BOOST_AUTO_TEST_CASE(routing_and_token_losses) {
  if (ranks() != 1) return;
  for (const char* model : kModels) {
    const GoldenCase golden(cat(model, "/fwdbwd"));
    Harness harness(golden, {});
    std::map<std::string, std::vector<at::Tensor>> seen;
    harness.stage->observe([&](const std::string& where, const at::Tensor& x) {
      if (where.starts_with("router."))
        seen[where].push_back(x.to(at::kCPU, /*non_blocking=*/false,
                                   /*copy=*/true));
    });
    const auto samples = rows(golden);
    harness.step(samples);
    const auto row_count = static_cast<int64_t>(samples.size());
    const auto all = joined(seen);
    for (const int layer : golden.json()["moe"]["moe_layers"]) {
      const auto expected = [&](const char* what) {
        return without_last(golden.tensor(cat("router.", layer, what)), row_count);
      };
      const at::Tensor& experts = all.at(cat("router.", layer, ".experts"));
      BOOST_TEST(at::equal(experts.to(at::kLong), expected(".topk_idx")), layer);
      BOOST_TEST(relative_error(all.at(cat("router.", layer, ".weights")),
                                expected(".topk_weight")) < kWeightTolerance);
    }
    const at::Tensor losses = golden.tensor("per_token_loss");
    for (int64_t i = 0; i < row_count; ++i) {
      const at::Tensor mine = harness.stage->token_loss(static_cast<int>(i)).cpu();
      BOOST_TEST((mine - losses[i]).abs().max().item<double>() < kTokenLossTolerance);
    }
  }
}

BOOST_AUTO_TEST_CASE(packed_documents) {
  for (const char* model : kModels) {
    const GoldenCase golden(cat(model, "/packed"));
    Layout layout;
    if (ranks() > 1) layout = {.tensor = 2, .sequence_parallel = true};
    if (ranks() == 4) continue;
    layout.expert = ranks();
    check_packed(golden, layout);
  }
}
