// What training, saving and conversion need to know of a model, whatever its family.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mtrain/comm/session.hpp"
#include "mtrain/nn/block.hpp"
#include "mtrain/parallel/data_parallel.hpp"
#include "mtrain/parallel/executor.hpp"
#include "mtrain/parallel/layer_split.hpp"

namespace mtrain::models {

/// Activation recomputation (Korthikanti et al. 2022; keys recompute_* as Megatron-LM).
struct Recompute {
  enum class Full {
    kNone,
    kUniform,  ///< groups of `layers` layers, each kept as its input only
    kBlock,    ///< the first `layers` layers of each chunk singly, the rest kept whole
  };
  Full full = Full::kNone;
  int layers = 1;
  nn::SelectiveRecompute selective;
};

/// Training of layers with experts.
struct ExpertOptions {
  nn::DispatcherKind dispatcher = nn::DispatcherKind::kAllToAll;
  /// nn::MoeOptions.
  double balance_coefficient = 0, z_coefficient = 0;
  std::optional<double> capacity_factor = {};
  at::ScalarType router_dtype = at::kFloat;
};

struct ModelOptions {
  at::ScalarType dtype;
  at::Device device;
  bool sequence_parallel;
  Recompute recompute;
  kernels::AttentionOptions attention;       ///< `scale` is the model's own
  std::vector<parallel::LayerRange> layers;  ///< per virtual stage, from split_layers
  int chunks;                                ///< model chunks on this rank
  int64_t bucket_elements;
  ExpertOptions experts = {};
};

/// A logical tensor of the model: Hugging Face name and shape.
struct LogicalTensor {
  std::string name;
  parallel::Shape shape;
};

/// Packed documents on the host: what the trainer makes of samples.
struct PackedTokens {
  std::vector<int64_t> ids;
  std::vector<int64_t> targets;  ///< -100 where nothing is trained
  std::vector<float> weights;
  std::vector<int64_t> offsets;  ///< documents, as kernels::Documents
};

/// The chunks of one rank. Life of a step: start_step, then the executor's forward and
/// backward calls, then token_loss where the rank holds the last virtual stage.
class Model : public parallel::PipelineModel {
 public:
  virtual parallel::ParamBuffer& buffer() = 0;
  /// Micro-batches of the coming step; `training` decides whether activations are kept.
  /// During the last micro-batch's backward each parameter is reported to `sync`; before
  /// its first use each is asked of `gather`. Either may be null.
  virtual void start_step(const std::vector<PackedTokens>& micro_batches, bool training,
                          parallel::GradientSync* sync,
                          parallel::ParameterGather* gather) = 0;
  virtual bool has_loss() const = 0;
  /// Negative log-likelihood of each position of the micro-batch, fp32 (last stage only).
  virtual const at::Tensor& token_loss(int micro_batch) const = 0;
  /// This rank's share of the step's loss: sum of weight * token loss over its
  /// micro-batches, fp64 [1] on the device; zero where another rank counts them.
  virtual at::Tensor loss_share() const = 0;
  /// Loss weights of a micro-batch that follow from all of its token losses
  /// (nn::LossHead::WeightsOf); asked for on the last virtual stage during forward.
  using TokenWeights =
      std::function<at::Tensor(int micro_batch, const at::Tensor& token_loss_T)>;
  /// Weights of the coming steps; with an empty function the micro-batches' own.
  virtual void weigh_by(TokenWeights weights) = 0;
  /// This rank's share of nn::RouterFigures of the step, fp64 [layers of the model,
  /// kTokens + experts]; undefined for models without experts.
  virtual at::Tensor router_figures() const = 0;
  /// Called with ("embed" | "layer.I" | "norm", hidden states) during forward, and with
  /// ("router.I.experts" | "router.I.weights", routing of the rank's tokens); for
  /// comparisons.
  using Observer = std::function<void(const std::string&, const at::Tensor&)>;
  virtual void observe(Observer observer) = 0;
};

/// Bytes under one name.
struct MemoryItem {
  std::string owner;
  double bytes;
};

inline double total_bytes(const std::vector<MemoryItem>& items) {
  double total = 0;
  for (const auto& item : items) total += item.bytes;
  return total;
}

/// A micro-batch on one rank, as far as memory is concerned.
struct ActivationShape {
  int64_t tokens;
  int tensor;         ///< tensor-parallel ranks
  int expert;         ///< expert-parallel ranks
  int expert_tensor;  ///< expert-tensor-parallel ranks
  bool sequence_parallel;
  at::ScalarType dtype;
  at::Device device;
  Recompute recompute;
  parallel::LayerRange layers;  ///< of one chunk
  bool head;                    ///< whether the loss head follows them
};

struct ActivationMemory {
  std::vector<MemoryItem> kept;  ///< from a micro-batch's forward to its backward
  double workspace;              ///< largest sum of short-lived tensors beside them
  double stream;                 ///< the tensor that passes from layer to layer
};

/// Sizes and names that do not depend on layout; parsed from config.json.
class ModelConfig {
 public:
  virtual ~ModelConfig() = default;
  virtual std::string family() const = 0;
  virtual int layers() const = 0;
  virtual int64_t vocab_size() const = 0;
  virtual int64_t head_dim() const = 0;
  virtual int64_t experts() const = 0;  ///< of a layer; 0 for none
  /// The load-balancing loss's coefficient as config.json has it; 0 without experts.
  virtual double balance_coefficient() const = 0;
  virtual at::ScalarType dtype() const = 0;  ///< of the published weights
  virtual double initializer_range() const = 0;
  /// Parameters, tied ones once.
  virtual int64_t parameters() const = 0;
  /// Training flops of one token at sequence length `length` (docs/performance.md).
  virtual double flops_per_token(double length) const = 0;
  /// Every tensor of the checkpoint, in the order Hugging Face writes them.
  virtual std::vector<LogicalTensor> tensors() const = 0;
  /// Faults of this layout (sizes that do not divide), one message each; empty when it
  /// fits.
  virtual std::vector<std::string> layout_faults(const comm::GridSizes& sizes) const = 0;
  virtual ActivationMemory activation_memory(const ActivationShape& shape) const = 0;
  virtual std::unique_ptr<Model> make(const comm::ProcessGroups& groups,
                                      const ModelOptions& options) const = 0;
};

/// Parses config.json (published and transformers-5 dialects). Throws UserError naming
/// `where` for what is damaged, unknown or not built yet.
std::unique_ptr<ModelConfig> parse_model_config(const std::string& json_text,
                                                const std::string& where);

/// Fills every parameter from the function of (seed, tensor name, element): equal in any
/// layout.
void initialise(parallel::ParamBuffer& buffer, uint64_t seed, double initializer_range);

}  // namespace mtrain::models
