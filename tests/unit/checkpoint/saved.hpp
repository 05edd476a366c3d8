// A small model saved by several ranks, for the tests of checkpoints.
#pragma once

#include <random>

#include "fixtures.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"

namespace mtrain::checkpoint::test {

/// The tensors of the model; master and moments hold the same names.
inline std::vector<TensorInfo> model_tensors() {
  return {{"model.embed_tokens.weight", {17, 6}, at::kFloat},
          {"model.layers.0.mlp.experts.weight", {3, 5, 7}, at::kFloat},
          {"model.norm.weight", {13}, at::kFloat},
          {"model.scale", {}, at::kFloat}};
}

/// What a group holds of a tensor: other numbers for each group.
inline at::Tensor stored_values(const std::string& group, const TensorInfo& info) {
  return numbered(info.shape, info.dtype, static_cast<int64_t>(group.size()) * 1000);
}

/// Cuts the box at random into about `pieces` disjoint boxes.
inline std::vector<Box> random_split(const Box& whole, int pieces, std::mt19937& random) {
  std::vector<Box> boxes = {whole};
  for (int i = 1; i < pieces && !whole.full.empty(); ++i) {
    const size_t victim = random() % boxes.size();
    const size_t d = random() % whole.full.size();
    Box& first = boxes[victim];
    if (first.extent[d] < 2) continue;
    const auto cut =
        1 + static_cast<int64_t>(random() % static_cast<unsigned>(first.extent[d] - 1));
    Box second = first;
    second.offset[d] += cut;
    second.extent[d] -= cut;
    first.extent[d] = cut;
    boxes.push_back(second);
  }
  return boxes;
}

inline TrainingState sample_state(int64_t step, int world) {
  TrainingState state;
  state.step = step;
  state.updates = step / 2;
  state.samples_consumed = 8 * step;
  state.tokens = 1000 * step;
  state.seed = UINT64_MAX;
  state.data_seed = 43;
  state.init_seed = 44;
  state.stage = "sft";
  state.model_config_json = "{\"hidden_size\": 6}\n";
  state.world_size = world;
  state.layout = "tp2 pp1 dp2";
  state.extra["note"] = "ünïcode";
  return state;
}

/// Saves `groups` of the model by `world` ranks that hold random, uneven, disjoint boxes.
inline fs::path save(const fs::path& output_dir, int64_t step, int world, unsigned seed,
                     const std::vector<std::string>& groups) {
  std::mt19937 random(seed);
  std::vector<CheckpointWriter> writers;
  for (int rank = 0; rank < world; ++rank)
    writers.emplace_back(output_dir, step, rank, world);
  for (const std::string& group : groups)
    for (const TensorInfo& info : model_tensors()) {
      const at::Tensor whole = stored_values(group, info);
      for (const Box& box :
           random_split(all_of(info.name, info.shape), 2 * world, random))
        writers[random() % writers.size()].write({{group, box, slice(whole, box)}});
    }
  std::vector<std::string> summaries;
  for (CheckpointWriter& writer : writers) summaries.push_back(writer.finish());
  return commit(output_dir, step, summaries, sample_state(step, world),
                "[train]\nseed = 1\n");
}

inline const std::vector<std::string>& training_groups() {
  static const std::vector<std::string> groups = {kMasterGroup, kFirstMomentGroup,
                                                  kSecondMomentGroup};
  return groups;
}

}  // namespace mtrain::checkpoint::test
