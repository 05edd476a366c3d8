// The toy model of the data-parallel and optimizer tests.
#include "toy_model.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "mtrain/base/rng.hpp"
#include "mtrain/base/text.hpp"
#include "support/session.hpp"

namespace mtrain::test {
namespace {

using parallel::Box;
using parallel::Init;
using parallel::LocalBox;
using parallel::ParamSpec;
using parallel::Shape;
using parallel::TensorRole;

/// Wide enough that the shards of a bucket cut through rows of most parameters.
constexpr int64_t kVocab = 9, kWidth = 37;

/// Multiples of 1/16 from -1/2 to 1/2 that depend on tag and element only.
at::Tensor noise(const std::string& tag, const Shape& shape) {
  at::Tensor x = at::empty(shape, at::kFloat);
  const uint64_t seed = hash64(tag);
  for (int64_t i = 0; i < x.numel(); ++i) {
    const auto draw = philox(seed, static_cast<uint64_t>(i), 0)[0] % 17;
    x.data_ptr<float>()[i] = (static_cast<float>(draw) - 8.0f) / 16.0f;
  }
  return x;
}

/// Shapes of the logical tensors of a stage.
std::map<std::string, Shape> stage_tensors(int stage) {
  const auto named = [&](const char* part) { return cat("stage", stage, ".", part); };
  return {{named("a"), {8, kWidth}},
          {named("two_heads"), {4, kWidth}},
          {named("one_head"), {3, kWidth}},
          {named("out"), {6, 40}},
          {named("norm"), {10}},
          {named("head_norm"), {7}}};
}

std::map<std::string, Shape> tensors(int stages) {
  std::map<std::string, Shape> all = {{"table", {kVocab, kWidth}}};
  for (int stage = 0; stage < stages; ++stage) all.merge(stage_tensors(stage));
  return all;
}

/// Where a gradient is made: what tells the contributions to one tensor apart.
struct Source {
  int64_t step;
  int data;
  int tensor;  ///< -1 where all tensor-parallel ranks make the same
  int copy;    ///< of a tied parameter: 1 on the last stage
};

at::Tensor gradient(const std::string& tensor, const Shape& shape, const Source& s) {
  return noise(cat(tensor, " ", s.step, " ", s.data, " ", s.tensor, " ", s.copy), shape);
}

/// How many heads the rows of a tensor are; 0 where they may be split anywhere.
int heads(const std::string& tensor) {
  return tensor.ends_with("two_heads") ? 2 : tensor.ends_with("one_head") ? 1 : 0;
}

/// Tensor-parallel ranks that hold the same head; each makes a part of its gradient.
int ranks_per_head(const std::string& tensor, int ranks) {
  return heads(tensor) == 0 ? 1 : std::max(1, ranks / heads(tensor));
}

bool is_partial(const std::string& tensor, int ranks) {
  return tensor.ends_with("head_norm") || ranks_per_head(tensor, ranks) > 1;
}

Box rows(const std::string& tensor, const Shape& full, int rank, int ranks) {
  const int copies = ranks_per_head(tensor, ranks);
  const int64_t mine = full[0] * copies / ranks;
  return {tensor, full, {rank / copies * mine, 0}, {mine, full[1]}};
}

}  // namespace

std::string name(const ToyLayout& l) {
  return cat("tp", l.tensor, " pp", l.pipeline, l.sharding.sharded ? " sharded" : "",
             l.sharding.overlap_grad_reduce ? " overlap-reduce" : "",
             l.sharding.overlap_param_gather ? " overlap-gather" : "", " ",
             c10::toString(l.dtype));
}

at::Tensor part_of(const at::Tensor& logical, const Box& box) {
  at::Tensor part = logical;
  for (size_t d = 0; d < box.extent.size(); ++d) {
    part = part.narrow(static_cast<int64_t>(d), box.offset[d], box.extent[d]);
  }
  return part;
}

ToyModel::ToyModel(const ToyLayout& l)
    : layout(l),
      grid({session().world_size(), l.tensor, 1, 1, 1, l.pipeline}),
      groups(comm::make_groups(session(), grid, backend())),
      at_(grid.coordinates(session().rank())) {
  if (at_.pipeline == 0) add_table(0);
  add_stage(at_.pipeline);
  if (l.pipeline > 1 && at_.pipeline == l.pipeline - 1) add_table(1);
  buffer.allocate({l.dtype, at::kCPU, l.bucket_elements, groups.data->size()});
}

void ToyModel::add_table(int chunk) {
  const int64_t each = layout.tensor == 1 ? kVocab : 8;
  const int64_t begin = at_.tensor * each;
  const int64_t valid = std::clamp<int64_t>(kVocab - begin, 0, each);
  ParamSpec spec{"table",       {each, kWidth},       {},
                 Init::kNormal, TensorRole::kSharded, layout.pipeline > 1};
  if (valid > 0) {
    spec.boxes = {{0, {"table", {kVocab, kWidth}, {begin, 0}, {valid, kWidth}}}};
  }
  buffer.add(spec, chunk);
}

void ToyModel::add_stage(int stage) {
  const auto named = [&](const char* part) { return cat("stage", stage, ".", part); };
  ParamSpec fused{named("fused"), {0, kWidth},          {},
                  Init::kNormal,  TensorRole::kSharded, false};
  for (const auto& [part, full] :
       {std::pair("a", Shape{8, kWidth}), std::pair("two_heads", Shape{4, kWidth}),
        std::pair("one_head", Shape{3, kWidth})}) {
    const Box box = rows(named(part), full, at_.tensor, layout.tensor);
    const int64_t begin = parallel::numel(fused.shape);
    const int copies = ranks_per_head(box.tensor, layout.tensor);
    if (copies > 1) {
      fused.shared.push_back({begin, begin + box.size(), at_.tensor / copies,
                              layout.tensor / copies, at_.tensor % copies == 0});
    }
    fused.boxes.push_back({begin, box});
    fused.shape[0] += box.extent[0];
  }
  buffer.add(fused, 0);
  const int64_t columns = 40 / layout.tensor;
  const Box out{named("out"), {6, 40}, {0, at_.tensor * columns}, {6, columns}};
  buffer.add({named("out"),
              {6, columns},
              {{0, out}},
              Init::kNormal,
              TensorRole::kSharded,
              false},
             0);
  const auto vector = [&](const char* part, int64_t size, TensorRole role) {
    const Box whole{named(part), {size}, {0}, {size}};
    buffer.add({named(part), {size}, {{0, whole}}, Init::kOnes, role, false}, 1);
  };
  vector("norm", 10, TensorRole::kReplicated);
  vector("head_norm", 7, TensorRole::kPartial);
}

Tensors ToyModel::initial_weights() const {
  Tensors result;
  for (const auto& [tensor, shape] : tensors(layout.pipeline)) {
    result[tensor] = noise("weight of " + tensor, shape);
  }
  return result;
}

void ToyModel::load_weights(const Tensors& logical) {
  for (const auto& p : buffer.params()) {
    for (const auto& [begin, box] : p->spec.boxes) {
      p->weight.flatten()
          .narrow(0, begin, box.size())
          .copy_(part_of(logical.at(box.tensor), box).flatten());
    }
  }
}

void ToyModel::backward(int64_t step, parallel::GradientSync& sync) {
  for (auto it = buffer.params().rbegin(); it != buffer.params().rend(); ++it) {
    parallel::Parameter& p = **it;
    const int copy = p.spec.tied && at_.pipeline > 0 ? 1 : 0;
    for (const auto& [begin, box] : p.spec.boxes) {
      const bool partial = is_partial(box.tensor, layout.tensor);
      const at::Tensor whole = gradient(
          box.tensor, box.full, {step, at_.data, partial ? at_.tensor : -1, copy});
      p.grad_to_add_to()
          .flatten()
          .narrow(0, begin, box.size())
          .add_(part_of(whole, box).flatten());
    }
    sync.ready(p);
  }
}

Tensors ToyModel::total_gradients(int64_t step) const {
  Tensors total;
  for (const auto& [tensor, shape] : tensors(layout.pipeline)) {
    at::Tensor& sum = total[tensor] = at::zeros(shape);
    const int copies = tensor == "table" && layout.pipeline > 1 ? 2 : 1;
    const bool partial = is_partial(tensor, layout.tensor);
    for (int data = 0; data < grid.data_size(); ++data)
      for (int copy = 0; copy < copies; ++copy)
        for (int rank = 0; rank < (partial ? layout.tensor : 1); ++rank) {
          const at::Tensor part =
              gradient(tensor, shape, {step, data, partial ? rank : -1, copy});
          // Of a split head a rank knows the gradient of its rows only.
          const Box held = heads(tensor) > 0 && partial
                               ? rows(tensor, shape, rank, layout.tensor)
                               : Box{tensor, shape, Shape(shape.size(), 0), shape};
          part_of(sum, held).add_(part_of(part, held));
        }
  }
  return total;
}

}  // namespace mtrain::test
