// Gradient reduction, AdamW and weight gathering: every way of sharding gives the same
// weights, and those of one rank that sees all gradients.
#define BOOST_TEST_MODULE mpi_parallel
#include "support/mpi_main.hpp"
//
#include <ATen/ATen.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "mtrain/base/error.hpp"
#include "toy_model.hpp"

using namespace mtrain;
using namespace mtrain::parallel;
using test::part_of;
using test::Tensors;
using test::ToyLayout;
using test::ToyModel;

namespace {

constexpr double kRate = 1e-2;
constexpr AdamWOptions kAdamW{0.9, 0.95, 1e-8, 0.1, 1.0};
constexpr DataParallelOptions kShardings[] = {{false, false, false}, {false, true, false},
                                              {true, false, false},  {true, true, false},
                                              {true, false, true},   {true, true, true}};

/// (tensor, pipeline) sizes of all layouts of this world.
std::vector<std::pair<int, int>> layouts() {
  const int world = test::session().world_size();
  std::vector<std::pair<int, int>> result;
  for (const int tensor : {1, 2, 4})
    for (const int pipeline : {1, 2, 4})
      if (world % (tensor * pipeline) == 0) result.push_back({tensor, pipeline});
  return result;
}

/// All layouts and shardings, each pair in one of the two dtypes.
template <class Check>
void for_all_layouts(const Check& check) {
  size_t count = 0;
  for (const auto& [tensor, pipeline] : layouts()) {
    for (const auto& sharding : kShardings) {
      const auto dtype = count++ % 2 == 0 ? at::kFloat : at::kBFloat16;
      check(ToyLayout{tensor, pipeline, sharding, 256, dtype});
    }
    ++count;
  }
}

/// What an optimizer holds of the whole model: from the unique pieces of all ranks.
struct State {
  Tensors master, exp_avg, exp_avg_sq;
  Tensors copies;  ///< how many ranks hold each element
};

/// Exact: at most one rank holds anything but 0.
void sum_over_world(Tensors& tensors, comm::Communicator& world) {
  std::vector<at::Tensor> parts;
  for (const auto& [tensor, value] : tensors) parts.push_back(value.flatten());
  const at::Tensor packed = at::cat(parts);
  world.all_reduce(packed, comm::Reduce::kSum);
  int64_t offset = 0;
  for (auto& [tensor, value] : tensors) {
    value = packed.narrow(0, offset, value.numel()).view(value.sizes());
    offset += value.numel();
  }
}

State gather_state(const ToyModel& model, const Optimizer& optimizer) {
  State all;
  for (const auto& [tensor, weight] : model.initial_weights()) {
    for (Tensors* part : {&all.master, &all.exp_avg, &all.exp_avg_sq, &all.copies}) {
      (*part)[tensor] = at::zeros_like(weight);
    }
  }
  for (const StatePiece& piece : optimizer.pieces(true)) {
    const auto add = [&](Tensors& to, const at::Tensor& value) {
      part_of(to.at(piece.box.tensor), piece.box).add_(value);
    };
    add(all.master, piece.master);
    add(all.exp_avg, piece.exp_avg);
    add(all.exp_avg_sq, piece.exp_avg_sq);
    add(all.copies, at::ones_like(piece.master));
  }
  for (Tensors* part : {&all.master, &all.exp_avg, &all.exp_avg_sq, &all.copies}) {
    sum_over_world(*part, *model.groups.world);
  }
  return all;
}

void restore(ToyModel& model, const Optimizer& optimizer, const State& state) {
  model.load_weights(state.master);
  for (const StatePiece& piece : optimizer.pieces(false)) {
    const auto take = [&](const Tensors& from) {
      return part_of(from.at(piece.box.tensor), piece.box);
    };
    at::Tensor(piece.master).copy_(take(state.master));
    at::Tensor(piece.exp_avg).copy_(take(state.exp_avg));
    at::Tensor(piece.exp_avg_sq).copy_(take(state.exp_avg_sq));
  }
}

bool same(const Tensors& a, const Tensors& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) {
                      return x.first == y.first && at::equal(x.second, y.second);
                    });
}

bool same(const State& a, const State& b) {
  return same(a.master, b.master) && same(a.exp_avg, b.exp_avg) &&
         same(a.exp_avg_sq, b.exp_avg_sq);
}

/// A model with all that trains it.
struct Trainer {
  explicit Trainer(const ToyLayout& layout, const AdamWOptions& adamw = kAdamW)
      : model(layout),
        sync(model.buffer, model.groups, layout.sharding),
        gather(model.buffer, model.groups, layout.sharding),
        optimizer(model.buffer, model.groups, layout.sharding, adamw) {
    model.load_weights(model.initial_weights());
    optimizer.reset_master();
  }

  void reduce(int64_t step) {
    sync.begin_step();
    model.backward(step, sync);
    sync.finish();
  }

  void run(int64_t first, int64_t last) {
    for (int64_t step = first; step < last; ++step) {
      reduce(step);
      optimizer.update(kRate, totals());
      gather.start();
      for (const auto& p : model.buffer.params()) gather.require(*p);
    }
  }

  StepTotals totals() const { return optimizer.totals(at::zeros({1}, at::kDouble)); }

  State state() const { return gather_state(model, optimizer); }

  ToyModel model;
  GradientSync sync;
  ParameterGather gather;
  Optimizer optimizer;
};

double norm_of(const Tensors& gradients) {
  double square = 0;
  for (const auto& [tensor, g] : gradients) {
    square += g.to(at::kDouble).square().sum().item<double>();
  }
  return std::sqrt(square);
}

/// AdamW on whole tensors in fp64, from its definition (Loshchilov and Hutter, 2019).
Tensors reference(const ToyModel& model, const AdamWOptions& o, int64_t steps) {
  Tensors w, m, v;
  for (const auto& [tensor, weight] : model.initial_weights()) {
    w[tensor] = weight.to(model.layout.dtype).to(at::kDouble);
    m[tensor] = v[tensor] = at::zeros_like(w[tensor]);
  }
  for (int64_t t = 1; t <= steps; ++t) {
    const Tensors gradients = model.total_gradients(t - 1);
    const double limit = o.max_grad_norm / (norm_of(gradients) + 1e-6);
    const double scale = o.max_grad_norm > 0 ? std::min(1.0, limit) : 1.0;
    const double correct1 = 1 - std::pow(o.beta1, static_cast<double>(t));
    const double correct2 = 1 - std::pow(o.beta2, static_cast<double>(t));
    for (auto& [tensor, p] : w) {
      const at::Tensor g = gradients.at(tensor).to(at::kDouble) * scale;
      m[tensor] = m[tensor] * o.beta1 + g * (1 - o.beta1);
      v[tensor] = v[tensor] * o.beta2 + g * g * (1 - o.beta2);
      if (p.dim() >= 2) p = p * (1 - kRate * o.weight_decay);
      p = p - m[tensor] / correct1 / ((v[tensor] / correct2).sqrt() + o.epsilon) * kRate;
    }
  }
  return w;
}

double largest_difference(const Tensors& a, const Tensors& b) {
  double most = 0;
  for (const auto& [tensor, x] : a) {
    most = std::max(most, (x - b.at(tensor)).abs().max().item<double>());
  }
  return most;
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_sharding_trains_to_the_same_bits) {
  for (const auto& [tensor, pipeline] : layouts())
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      State first;
      for (const auto& sharding : kShardings) {
        const ToyLayout layout{tensor, pipeline, sharding, 256, dtype};
        Trainer trainer(layout);
        trainer.run(0, 4);
        const State state = trainer.state();
        if (first.master.empty()) first = state;
        BOOST_CHECK_MESSAGE(same(state, first), name(layout));
      }
    }
}

BOOST_AUTO_TEST_CASE(weights_are_those_of_one_rank_with_all_gradients) {
  for_all_layouts([](const ToyLayout& layout) {
    AdamWOptions adamw = kAdamW;
    if (layout.sharding.overlap_grad_reduce) adamw.max_grad_norm = 0;
    Trainer trainer(layout, adamw);
    trainer.run(0, 3);
    const double difference =
        largest_difference(trainer.state().master, reference(trainer.model, adamw, 3));
    BOOST_CHECK_MESSAGE(difference < 1e-6, name(layout) << ": off by " << difference);
  });
}

// Replicas, tied copies and gathered shards: every rank holds the rounded master weights.
BOOST_AUTO_TEST_CASE(every_rank_has_the_updated_weights) {
  for_all_layouts([](const ToyLayout& layout) {
    Trainer trainer(layout);
    trainer.run(0, 2);
    const Tensors master = trainer.state().master;
    for (const auto& p : trainer.model.buffer.params()) {
      for (const auto& [begin, box] : p->spec.boxes) {
        const at::Tensor held = p->weight.flatten().narrow(0, begin, box.size());
        const at::Tensor wanted = part_of(master.at(box.tensor), box).flatten();
        BOOST_CHECK_MESSAGE(at::equal(held, wanted.to(layout.dtype)),
                            name(layout) << ": " << to_string(box));
      }
    }
  });
}

// What a layer sees right after asking is complete, however late the other ranks are.
BOOST_AUTO_TEST_CASE(a_weight_is_complete_once_required) {
  Trainer trainer({1, 1, {true, false, true}, 256, at::kFloat});
  trainer.reduce(0);
  trainer.optimizer.update(kRate, trainer.totals());
  if (test::session().rank() > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  trainer.gather.start();
  std::vector<at::Tensor> seen;
  const auto& params = trainer.model.buffer.params();
  for (const auto& p : params) {
    trainer.gather.require(*p);
    seen.push_back(p->weight.flatten().clone());
  }
  trainer.gather.require_all();
  const Tensors master = trainer.state().master;
  for (size_t i = 0; i < params.size(); ++i) {
    for (const auto& [begin, box] : params[i]->spec.boxes) {
      const at::Tensor held = seen[i].narrow(0, begin, box.size());
      BOOST_TEST(at::equal(held, part_of(master.at(box.tensor), box).flatten()),
                 to_string(box));
    }
  }
}

BOOST_AUTO_TEST_CASE(reduced_gradients_are_the_totals) {
  for_all_layouts([](const ToyLayout& layout) {
    Trainer trainer(layout);
    trainer.reduce(5);
    // Gradients of the step before are forgotten.
    trainer.reduce(6);
    const ToyModel& model = trainer.model;
    const Tensors total = model.total_gradients(6);
    for (const auto& p : model.buffer.params()) {
      const Bucket& bucket = model.buffer.buckets()[static_cast<size_t>(p->bucket)];
      const ShardRange owned = owned_range(bucket, model.groups, layout.sharding);
      for (const auto& [begin, box] :
           boxes_of_range(p->spec, owned.begin - p->begin, owned.end - p->begin)) {
        const at::Tensor mine = p->grad.flatten().narrow(0, begin, box.size());
        const at::Tensor wanted = part_of(total.at(box.tensor), box).flatten();
        BOOST_CHECK_MESSAGE(at::equal(mine, wanted), name(layout)
                                                         << ": " << to_string(box));
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(the_gradient_norm_counts_every_parameter_once) {
  for_all_layouts([](const ToyLayout& layout) {
    Trainer trainer(layout);
    for (const int64_t step : {0, 1}) {
      trainer.reduce(step);
      const double expected = norm_of(trainer.model.total_gradients(step));
      BOOST_TEST(trainer.totals().gradient_norm() == expected, name(layout));
    }
  });
}

BOOST_AUTO_TEST_CASE(unique_pieces_cover_every_element_once) {
  for_all_layouts([](const ToyLayout& layout) {
    Trainer trainer(layout);
    const State state = trainer.state();
    for (const auto& [tensor, copies] : state.copies) {
      BOOST_CHECK_MESSAGE(at::equal(copies, at::ones_like(copies)),
                          name(layout) << ": " << tensor << " held " << copies);
    }
    // Each box shows its own part of the tensor: the masters are the loaded weights.
    for (const auto& [tensor, weight] : trainer.model.initial_weights()) {
      BOOST_TEST(
          at::equal(state.master.at(tensor), weight.to(layout.dtype).to(at::kFloat)),
          name(layout) << ": " << tensor);
    }
  });
}

BOOST_AUTO_TEST_CASE(all_pieces_cover_what_the_rank_owns) {
  for_all_layouts([](const ToyLayout& layout) {
    Trainer trainer(layout);
    int64_t held = 0, owned = 0;
    for (const StatePiece& piece : trainer.optimizer.pieces(false)) {
      held += piece.box.size();
    }
    const ParamBuffer& buffer = trainer.model.buffer;
    for (const auto& p : buffer.params()) {
      const auto range = owned_range(buffer.buckets()[static_cast<size_t>(p->bucket)],
                                     trainer.model.groups, layout.sharding);
      for (const auto& [begin, box] : p->spec.boxes) {
        const int64_t first = std::max(range.begin, p->begin + begin);
        const int64_t end = std::min(range.end, p->begin + begin + box.size());
        owned += std::max<int64_t>(0, end - first);
      }
    }
    BOOST_TEST(held == owned, name(layout));
  });
}

// Saved in one way of sharding, continued in another: as if nothing had happened.
BOOST_AUTO_TEST_CASE(state_moves_between_shardings) {
  for (const auto& [tensor, pipeline] : layouts()) {
    const auto dtype = tensor == pipeline ? at::kFloat : at::kBFloat16;
    const ToyLayout plain{tensor, pipeline, {false, false, false}, 1 << 20, dtype};
    const ToyLayout sharded{tensor, pipeline, {true, true, true}, 256, dtype};
    Trainer whole(plain), rest(sharded), back(plain);
    whole.run(0, 2);
    restore(rest.model, rest.optimizer, whole.state());
    rest.run(2, 3);
    restore(back.model, back.optimizer, rest.state());
    back.run(3, 4);
    whole.run(2, 4);
    BOOST_CHECK_MESSAGE(same(back.state(), whole.state()), name(plain));
  }
}

BOOST_AUTO_TEST_CASE(a_gradient_that_is_ready_twice_or_never_is_an_error) {
  const int world = test::session().world_size();
  Trainer trainer({1, world, {false, false, false}, 1 << 20, at::kFloat});
  const Parameter& p = *trainer.model.buffer.params().back();
  const Bucket& bucket = trainer.model.buffer.buckets()[static_cast<size_t>(p.bucket)];
  trainer.sync.begin_step();
  for (size_t i = 0; i < bucket.params.size(); ++i) trainer.sync.ready(p);
  BOOST_CHECK_THROW(trainer.sync.ready(p), Error);
  trainer.sync.begin_step();
  BOOST_CHECK_THROW(trainer.sync.finish(), Error);
}
