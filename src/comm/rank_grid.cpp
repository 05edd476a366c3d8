// Arithmetic of the rank grid; process groups are made from it.
#include "mtrain/comm/rank_grid.hpp"

#include "mtrain/base/error.hpp"

namespace mtrain::comm {
namespace {

void require_divides(int divisor, int value, const std::string& what) {
  if (value % divisor == 0) return;
  throw UserError(cat(what, " = ", divisor, " does not divide ", value),
                  "start a multiple of that many ranks, or lower one of the sizes");
}

}  // namespace

std::string to_string(Axis axis) {
  switch (axis) {
    case Axis::kTensor:
      return "tensor";
    case Axis::kContext:
      return "context";
    case Axis::kData:
      return "data";
    case Axis::kDataContext:
      return "data-context";
    case Axis::kPipeline:
      return "pipeline";
    case Axis::kEmbedding:
      return "embedding";
    case Axis::kExpert:
      return "expert";
    case Axis::kExpertTensor:
      return "expert-tensor";
    case Axis::kExpertData:
      return "expert-data";
  }
  return "unknown";
}

RankGrid::RankGrid(const GridSizes& sizes) : sizes_(sizes) {
  for (const int size : {sizes.tensor, sizes.context, sizes.expert, sizes.expert_tensor,
                         sizes.pipeline, sizes.world}) {
    if (size < 1)
      throw UserError(cat("a parallel size is ", size, ", at least 1 is needed"),
                      "write 1 for an axis that is not used");
  }
  const int model = sizes.tensor * sizes.context * sizes.pipeline;
  require_divides(model, sizes.world, "tensor x context x pipeline parallel size");
  data_size_ = sizes.world / model;
  const int per_stage = sizes.world / sizes.pipeline;
  require_divides(sizes.expert * sizes.expert_tensor, per_stage,
                  "expert x expert-tensor parallel size");
}

Coordinates RankGrid::coordinates(int rank) const {
  const int tensor = rank % sizes_.tensor;
  const int context = rank / sizes_.tensor % sizes_.context;
  const int data = rank / (sizes_.tensor * sizes_.context) % data_size_;
  return {tensor, context, data, rank / (sizes_.world / sizes_.pipeline)};
}

int RankGrid::rank_at(const Coordinates& at) const {
  return at.tensor +
         sizes_.tensor *
             (at.context + sizes_.context * (at.data + data_size_ * at.pipeline));
}

std::vector<int> RankGrid::group(Axis axis, int rank) const {
  const Coordinates at = coordinates(rank);
  std::vector<int> ranks;
  const auto add = [&](const Coordinates& c) { ranks.push_back(rank_at(c)); };
  switch (axis) {
    case Axis::kTensor:
      for (int i = 0; i < sizes_.tensor; ++i) add({i, at.context, at.data, at.pipeline});
      break;
    case Axis::kContext:
      for (int i = 0; i < sizes_.context; ++i) add({at.tensor, i, at.data, at.pipeline});
      break;
    case Axis::kData:
      for (int i = 0; i < data_size_; ++i) add({at.tensor, at.context, i, at.pipeline});
      break;
    case Axis::kDataContext:
      for (int i = 0; i < data_size_ * sizes_.context; ++i) {
        add({at.tensor, i % sizes_.context, i / sizes_.context, at.pipeline});
      }
      break;
    case Axis::kPipeline:
      for (int i = 0; i < sizes_.pipeline; ++i) add({at.tensor, at.context, at.data, i});
      break;
    case Axis::kEmbedding:
      add({at.tensor, at.context, at.data, 0});
      if (sizes_.pipeline > 1) {
        add({at.tensor, at.context, at.data, sizes_.pipeline - 1});
      }
      break;
    default:
      return expert_group(axis, rank);
  }
  return ranks;
}

std::vector<int> RankGrid::expert_group(Axis axis, int rank) const {
  const int per_stage = sizes_.world / sizes_.pipeline;
  const int base = rank / per_stage * per_stage, local = rank % per_stage;
  const int expert_stride = sizes_.expert_tensor;
  const int data_stride = sizes_.expert_tensor * sizes_.expert;
  const int tensor = local % sizes_.expert_tensor;
  const int expert = local / expert_stride % sizes_.expert;
  const int data = local / data_stride;
  std::vector<int> ranks;
  if (axis == Axis::kExpertTensor) {
    for (int i = 0; i < sizes_.expert_tensor; ++i) {
      ranks.push_back(base + i + expert * expert_stride + data * data_stride);
    }
  } else if (axis == Axis::kExpert) {
    for (int i = 0; i < sizes_.expert; ++i) {
      ranks.push_back(base + tensor + i * expert_stride + data * data_stride);
    }
  } else {
    for (int i = 0; i < per_stage / data_stride; ++i) {
      ranks.push_back(base + tensor + expert * expert_stride + i * data_stride);
    }
  }
  return ranks;
}

}  // namespace mtrain::comm
