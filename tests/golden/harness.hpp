// A model in a layout of its own, fed with rows of a golden case.
#pragma once

#include <ATen/ATen.h>

#include <memory>

#include "mtrain/base/text.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "mtrain/parallel/optimizer.hpp"
#include "support/golden.hpp"
#include "support/session.hpp"
#include "train/batches.hpp"
#include "train/model_files.hpp"

namespace mtrain::test {

struct Layout {
  int tensor = 1, pipeline = 1, chunks = 1;
  bool sequence_parallel = false, sharded = false;
  models::Recompute recompute = {};
  int64_t bucket_elements = 1 << 30;
  at::ScalarType dtype = at::kFloat;
};

inline std::string name(const Layout& l) {
  return cat("tp", l.tensor, " pp", l.pipeline, " vpp", l.chunks,
             l.sequence_parallel ? " sp" : "", l.sharded ? " sharded" : "", " recompute ",
             static_cast<int>(l.recompute.full),
             l.recompute.selective.norms ? " selective" : "");
}

/// A model loaded with the case's weights, in one layout over all ranks.
struct Harness {
  Harness(const GoldenCase& golden, const Layout& l)
      : layout(l),
        grid({session().world_size(), l.tensor, 1, 1, 1, l.pipeline}),
        groups(comm::make_groups(session(), grid, backend())) {
    config::Model model{};
    model.model_name_or_path = golden.model_dir().string();
    const auto description = train::read_model_description(model);
    layers = description.config->layers();
    const auto split =
        parallel::split_layers({layers, l.pipeline, l.chunks, {}, {}, false, false});
    stage =
        description.config->make(groups, {l.dtype,
                                          device(),
                                          l.sequence_parallel,
                                          l.recompute,
                                          {0.0, kernels::AttentionBackend::kAuto, false},
                                          split,
                                          l.chunks,
                                          l.bucket_elements});
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
                           shape, *stage, *groups.pipeline);
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

}  // namespace mtrain::test
