// Estimates the time of a step from the rates of a GPU; used by the plan.
#include <algorithm>

#include "layout.hpp"
#include "mtrain/parallel/schedule_time.hpp"
#include "pair_loss.hpp"
#include "plan_parts.hpp"

namespace mtrain::train {
namespace {

using parallel::Direction;

/// Flops a token costs in a whole training step (forward and backward), by kind.
struct TokenFlops {
  double dense, experts, attention, head;
};

TokenFlops token_flops(const PlannedModel& model, double length) {
  constexpr double kPerElement = 6;
  const double dense = kPerElement * model.dense, head = kPerElement * model.embedding;
  const double linear = model.flops(0);
  return {dense, std::max(0.0, linear - dense - head), model.flops(length) - linear,
          head};
}

class Estimator {
 public:
  Estimator(const config::Deck& deck, const PlannedModel& model, int world,
            const GpuRates& gpu)
      : deck_(deck),
        model_(model),
        gpu_(gpu),
        grid_(grid_sizes(deck.parallel, world)),
        tokens_(static_cast<double>(planned_tokens(deck))),
        flops_(token_flops(model, static_cast<double>(deck.data.cutoff_len))),
        split_(layer_split(deck.parallel, model.config.layers())),
        shape_(schedule_shape(deck,
                              static_cast<int>(deck.train.gradient_accumulation_steps))) {
    measure_layer();
  }

  StepEstimate run() const {
    const auto passes = parallel::simulate(
        shape_, [&](int s, int c, Direction d) { return pass(s, c, d); }, transfer());
    const double seconds = passes.seconds * reference() + update();
    const double all_tokens =
        tokens_ * static_cast<double>(shape_.micro_batches) * grid_.data_size();
    const double rate = all_tokens / seconds;
    const double each = model_.flops(static_cast<double>(deck_.data.cutoff_len));
    return {seconds, passes.idle_share(), rate, rate * each / grid_.sizes().world};
  }

 private:
  int tensor() const { return grid_.sizes().tensor; }

  /// To ranks of a group that spans `ranks` neighbours in rank order.
  double bandwidth(int ranks) const {
    return ranks <= gpu_.per_machine ? gpu_.link : gpu_.network;
  }

  /// Bytes a layer keeps on average say how much its element-wise operators move.
  void measure_layer() {
    const auto options = model_options(deck_, model_.config, at::kCUDA);
    const auto memory =
        model_.config.activation_memory({planned_tokens(deck_),
                                         tensor(),
                                         grid_.sizes().expert,
                                         grid_.sizes().expert_tensor,
                                         options.sequence_parallel && tensor() > 1,
                                         options.dtype,
                                         at::kCUDA,
                                         models::Recompute{},
                                         {0, model_.config.layers()},
                                         false});
    for (const auto& item : memory.kept) {
      const bool rows = item.owner == "inputs of experts";  // where they are elsewhere
      (rows ? expert_rows_ : kept_) += item.bytes / model_.config.layers();
    }
    stream_ = memory.stream;
  }

  /// One layer, one micro-batch, one direction.
  double layer(Direction direction) const {
    const bool forward = direction == Direction::kForward;
    const double own = tokens_ / tensor() / model_.config.layers();
    const double part = forward ? 1.0 / 3 : 2.0 / 3;
    // What the operators between the products move, in multiples of what is kept, from
    // the measured steps of Qwen3-1.7B and of a mixture of experts (docs/performance.md).
    const double moved = model_.config.experts() > 0 ? 18 : 3.7;
    return own * part *
               (flops_.dense / gpu_.matmul + flops_.experts / gpu_.grouped +
                flops_.attention / gpu_.attention[forward ? 0 : 1]) +
           part * moved * kept_ / gpu_.copy + layer_communication();
  }

  double layer_communication() const {
    const double t = tensor(), e = grid_.sizes().expert;
    const double whole = stream_ * (deck_.parallel.sequence_parallel ? t : 1);
    // Two all-reduces (or as much as all-gathers and reduce-scatters) over the tensor
    // group, and dispatch and combine between experts.
    const double reduces = 2 * 2 * (t - 1) / t * whole / bandwidth(tensor());
    const int span = tensor() * grid_.sizes().expert;
    return reduces + 2 * (e - 1) / e * expert_rows_ / bandwidth(span);
  }

  double pass(int stage, int chunk, Direction direction) const {
    const auto range = static_cast<size_t>(chunk * shape_.stages + stage);
    const int layers = split_[range].size();
    double seconds = layers * layer(direction);
    if (direction == Direction::kBackward)
      seconds += layers * recomputed_share() * layer(Direction::kForward);
    // The head's gradients are computed with its loss.
    const bool head = range + 1 == split_.size();
    if (head && direction == Direction::kForward)
      seconds += tokens_ / tensor() * flops_.head / gpu_.matmul;
    return seconds;
  }

  /// Share of a layer's forward that runs again in the backward.
  double recomputed_share() const {
    const auto recompute = model_options(deck_, model_.config, at::kCUDA).recompute;
    using Full = models::Recompute::Full;
    if (recompute.full == Full::kUniform) return 1;
    const double own_layers =
        static_cast<double>(model_.config.layers()) / static_cast<double>(split_.size());
    if (recompute.full == Full::kBlock)
      return std::min(1.0, recompute.layers / own_layers);
    const double own = tokens_ / tensor() / model_.config.layers() / 3;
    double seconds = 0;
    if (recompute.selective.core) seconds += own * flops_.attention / gpu_.attention[0];
    if (recompute.selective.mlp || recompute.selective.moe)
      seconds += own * (flops_.experts / gpu_.grouped + flops_.dense / gpu_.matmul / 2);
    return seconds / layer(Direction::kForward);
  }

  /// An activation from one stage to the next.
  double transfer() const {
    const int per_stage = grid_.sizes().world / shape_.stages;
    return shape_.stages > 1 ? stream_ / bandwidth(2 * per_stage) : 0;
  }

  /// The frozen model of preference training runs forward before.
  double reference() const {
    const bool resident = deck_.train.stage == config::Stage::kDpo &&
                          needs_reference(deck_.dpo.pref_loss) &&
                          deck_.dpo.ref_log_probs.empty();
    return resident ? 4.0 / 3 : 1;
  }

  /// Gradients to their owners and weights back, as far as no pass hides them, and AdamW
  /// at the speed of memory.
  double update() const {
    const auto stages = stage_memory(deck_, model_, grid_.sizes().world);
    double longest = 0;
    for (size_t s = 0; s < stages.size(); ++s) {
      const int stage = static_cast<int>(s);
      const double others = 1 - 1.0 / grid_.data_size();
      const double speed =
          bandwidth(tensor() * grid_.sizes().context * grid_.data_size());
      const double reduce = others * stages[s].gradients / speed;
      const double gather = others * stages[s].weights / speed;
      const bool hides = deck_.parallel.overlap_grad_reduce;
      const double backward = hides ? pass(stage, 0, Direction::kBackward) : 0;
      const double forward =
          deck_.parallel.overlap_param_gather ? pass(stage, 0, Direction::kForward) : 0;
      constexpr double kBytesMoved = 30;  // of an element: read and written state
      longest = std::max(
          longest, std::max(0.0, reduce - backward) + std::max(0.0, gather - forward) +
                       stages[s].optimizer_elements * kBytesMoved / gpu_.copy);
    }
    return longest;
  }

  const config::Deck& deck_;
  const PlannedModel& model_;
  const GpuRates& gpu_;
  comm::RankGrid grid_;
  double tokens_;
  TokenFlops flops_;
  std::vector<parallel::LayerRange> split_;
  parallel::ScheduleShape shape_;
  double kept_ = 0, stream_ = 0, expert_rows_ = 0;
};

}  // namespace

StepEstimate estimate_step(const config::Deck& deck, const PlannedModel& model,
                           int world_size, const GpuRates& gpu) {
  return Estimator(deck, model, world_size, gpu).run();
}

}  // namespace mtrain::train
