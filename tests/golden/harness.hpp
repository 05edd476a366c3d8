// A Qwen3 stage loaded with a golden case, in any layout; shared by the golden tests.
#pragma once

#include <ATen/ATen.h>

#include <boost/test/unit_test.hpp>
#include <memory>

#include "mtrain/base/text.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "mtrain/parallel/optimizer.hpp"
#include "support/golden.hpp"
#include "support/mpi_main.hpp"
#include "train/batches.hpp"
#include "train/model_files.hpp"

namespace mtrain::golden {

using test::GoldenCase;
using test::relative_error;

// Recommended by the reference's makers: about ten times the worst fp32-fp64 difference
// seen.
constexpr double kLossTolerance = 5e-6, kTokenLossTolerance = 2e-5,
                 kHiddenTolerance = 1e-5;

struct Layout {
  int tensor = 1, pipeline = 1, chunks = 1;
  bool sequence_parallel = false, sharded = false;
  models::Recompute recompute = {};
  int64_t bucket_elements = 1 << 30;
  at::ScalarType dtype = at::kFloat;
  int expert = 1, expert_tensor = 1;
  models::ExpertOptions experts = {};
};

inline std::string name(const Layout& l) {
  return cat("tp", l.tensor, " pp", l.pipeline, " vpp", l.chunks,
             l.sequence_parallel ? " sp" : "", " ep", l.expert, " etp", l.expert_tensor,
             l.experts.dispatcher == nn::DispatcherKind::kAllGather ? " gather" : "",
             l.sharded ? " sharded" : "", " recompute ",
             static_cast<int>(l.recompute.full),
             l.recompute.selective.norms ? " selective" : "");
}

/// A model loaded with the case's weights, in one layout over all ranks.
struct Harness {
  Harness(const GoldenCase& golden, const Layout& l)
      : layout(l),
        grid({test::session().world_size(), l.tensor, 1, l.expert, l.expert_tensor,
              l.pipeline}),
        groups(comm::make_groups(test::session(), grid, test::backend())) {
    config::Model model{};
    model.model_name_or_path = golden.model_dir().string();
    const auto description = train::read_model_description(model);
    layers = description.config->layers();
    const auto split =
        parallel::split_layers({layers, l.pipeline, l.chunks, {}, {}, false, false});
    stage =
        description.config->make(groups, {l.dtype,
                                          test::device(),
                                          l.sequence_parallel,
                                          l.recompute,
                                          {0.0, kernels::AttentionBackend::kAuto, false},
                                          split,
                                          l.chunks,
                                          l.bucket_elements,
                                          l.experts});
    source = checkpoint::open_safetensors(model.model_name_or_path);
    train::load_weights(stage->buffer(), *source);
  }

  /// One training step over the rows of the case; data-parallel ranks take turns.
  void step(const std::vector<data::Sample>& samples) {
    const auto dp = static_cast<size_t>(groups.data->size());
    train::StepBatch batch;
    for (size_t i = 0; i < samples.size(); i += dp) {
      models::PackedTokens packed;
      packed.offsets = {0};
      const size_t mine = i + static_cast<size_t>(groups.data->rank());
      if (mine < samples.size()) train::append_sample(samples[mine], packed);
      if (packed.ids.empty()) packed = {{0}, {-100}, {0.0f}, {0, 1}};
      batch.micro_batches.push_back(packed);
    }
    run(batch);
  }

  void run(train::StepBatch& batch) {
    train::scale_weights(batch, config::LossAverage::kToken, *groups.data);
    const parallel::DataParallelOptions sharding{layout.sharded, true, false};
    parallel::GradientSync sync(stage->buffer(), groups, sharding);
    sync.begin_step();
    stage->start_step(batch.micro_batches, true, &sync, nullptr);
    const parallel::ScheduleShape shape{layout.pipeline, layout.chunks,
                                        static_cast<int>(batch.micro_batches.size()),
                                        true};
    parallel::run_schedule(parallel::training_schedule(shape, groups.pipeline->rank()),
                           shape, *stage, *groups.pipeline, *groups.activity);
    sync.finish();
  }

  /// The loss of the step, on every rank.
  double loss() const {
    const at::Tensor sum = stage->loss_share();
    groups.world->all_reduce(sum, comm::Reduce::kSum);
    return sum.item<double>();
  }

  /// Compares every box of gradient this rank owns with the reference, where it has one;
  /// returns how many.
  template <class Reference>
  int compare_gradients(const Reference& reference, double tolerance) {
    const parallel::DataParallelOptions sharding{layout.sharded, true, false};
    int compared = 0;
    for (const auto& p : stage->buffer().params()) {
      const auto& bucket = stage->buffer().buckets()[static_cast<size_t>(p->bucket)];
      const auto owned = parallel::owned_range(bucket, groups, sharding);
      for (const auto& [at, box] : parallel::boxes_of_range(
               p->spec, owned.begin - p->begin, owned.end - p->begin)) {
        at::Tensor expected = reference(box.tensor);
        if (!expected.defined()) continue;
        const double scale = expected.abs().max().template item<double>();
        for (size_t d = 0; d < box.extent.size(); ++d) {
          expected =
              expected.narrow(static_cast<int64_t>(d), box.offset[d], box.extent[d]);
        }
        const at::Tensor mine = p->grad.flatten().narrow(0, at, box.size()).cpu();
        const at::Tensor error = mine.to(at::kDouble) - expected.flatten();
        BOOST_CHECK_MESSAGE(error.abs().max().item<double>() <= tolerance * scale,
                            name(layout) << ": gradient of " << box.tensor << " off by "
                                         << error.abs().max().item<double>() / scale);
        ++compared;
      }
    }
    return compared;
  }

  Layout layout;
  comm::RankGrid grid;
  comm::ProcessGroups groups;
  int layers;
  std::unique_ptr<models::Model> stage;
  std::unique_ptr<checkpoint::TensorSource> source;
};

inline std::vector<int32_t> row(const at::Tensor& matrix, int64_t i) {
  const at::Tensor values = matrix[i].to(at::kInt).contiguous();
  return {values.data_ptr<int32_t>(), values.data_ptr<int32_t>() + values.numel()};
}

inline std::vector<data::Sample> rows(const GoldenCase& golden) {
  const at::Tensor ids = golden.tensor("input_ids"), labels = golden.tensor("labels");
  std::vector<data::Sample> samples;
  for (int64_t i = 0; i < ids.size(0); ++i)
    samples.push_back({row(ids, i), row(labels, i)});
  return samples;
}

/// The documents of a packed case as one micro-batch.
inline train::StepBatch packed_batch(const GoldenCase& golden) {
  const auto all = row(golden.tensor("input_ids"), 0);
  const at::Tensor offsets = golden.tensor("cu_seqlens");
  models::PackedTokens packed;
  packed.offsets = {0};
  for (int64_t d = 0; d + 1 < offsets.size(0); ++d) {
    const std::vector<int32_t> document(all.begin() + offsets[d].item<int64_t>(),
                                        all.begin() + offsets[d + 1].item<int64_t>());
    train::append_sample({document, document}, packed);
  }
  train::StepBatch batch;
  batch.micro_batches = {packed};
  return batch;
}

inline void check_forward_backward(const GoldenCase& golden, const Layout& layout) {
  Harness harness(golden, layout);
  harness.step(rows(golden));
  BOOST_CHECK_MESSAGE(std::abs(harness.loss() -
                               golden.json()["loss_fp64"].get<double>()) < kLossTolerance,
                      name(layout) << ": loss " << harness.loss());
  const double tolerance = golden.json()["grad_format"] == "i16" ? 3.5e-5 : 2e-5;
  const int compared = harness.compare_gradients(
      [&](const std::string& tensor) { return golden.gradient(tensor); }, tolerance);
  BOOST_TEST(compared > 0);
}

/// On one rank: the squares of each tensor's gradient against the case's checksums.
inline void check_checksums(Harness& harness, const nlohmann::json& checksums) {
  for (const auto& [tensor, sums] : checksums.items()) {
    double square = 0, expected = sums[1].get<double>();
    for (const auto& p : harness.stage->buffer().params()) {
      for (const auto& [at, box] : p->spec.boxes) {
        if (box.tensor != tensor) continue;
        const at::Tensor part = p->grad.flatten().narrow(0, at, box.size());
        square += part.to(at::kDouble).square().sum().item<double>();
      }
    }
    BOOST_TEST(std::abs(square - expected) <= 4e-5 * expected, tensor);
  }
}

inline int ranks() {
  return test::session().world_size();
}

/// Documents in one row: loss, and on one rank the squares of every gradient.
inline void check_packed(const GoldenCase& golden, const Layout& layout) {
  Harness harness(golden, layout);
  train::StepBatch batch = packed_batch(golden);
  harness.run(batch);
  BOOST_TEST(std::abs(harness.loss() - golden.json()["loss_fp64"].get<double>()) <
             kLossTolerance);
  if (ranks() == 1) check_checksums(harness, golden.json()["grad_checksum_fp64"]);
}

}  // namespace mtrain::golden
