// Owns the description of attention as cuDNN graphs. Called by cudnn_attention.cpp.
#include "cudnn_graph.hpp"

#include <ATen/cudnn/Handle.h>
#include <ATen/ops/empty.h>

#include <map>
#include <vector>

#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>

#include "../attention_backend.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::kernels::cuda {
namespace {

namespace fe = cudnn_frontend;
using Attributes = fe::graph::Tensor_attributes;
using TensorPtr = std::shared_ptr<Attributes>;

/// Adds the tensors of one attention graph, by slot.
class Description {
 public:
  Description(fe::graph::Graph& graph, const GraphShape& shape)
      : graph_(graph), shape_(shape) {}

  void add_forward();
  void add_backward();

 private:
  bool ragged() const { return shape_.layout == GraphShape::Layout::kRagged; }

  /// A tensor of `count` numbers in device memory.
  TensorPtr vector(Slot slot, int64_t count, fe::DataType_t type) {
    return graph_.tensor(Attributes()
                             .set_uid(slot)
                             .set_dim({count, 1, 1, 1})
                             .set_stride({1, 1, 1, 1})
                             .set_data_type(type));
  }

  TensorPtr offsets(Slot slot) {
    TensorPtr& tensor = offsets_[slot];
    if (!tensor) tensor = vector(slot, shape_.batch + 1, fe::DataType_t::INT64);
    return tensor;
  }

  /// [B, heads, S, D] whose tokens are `row` apart.
  void place(Attributes& tensor, Slot slot, Slot offset, int64_t heads, int64_t row) {
    tensor.set_uid(slot)
        .set_dim({shape_.batch, heads, shape_.length, shape_.dim})
        .set_stride({shape_.length * row, shape_.dim, row, 1})
        .set_data_type(fe::DataType_t::BFLOAT16);
    if (ragged()) tensor.set_ragged_offset(offsets(offset));
  }

  void place_statistics(Attributes& tensor) {
    const int64_t heads = shape_.query_heads, length = shape_.length;
    tensor.set_uid(kStats).set_dim({shape_.batch, heads, length, 1});
    tensor.set_data_type(fe::DataType_t::FLOAT);
    if (ragged())
      tensor.set_stride({heads * length, 1, heads, 1})
          .set_ragged_offset(offsets(kStatsOffset));
    else
      tensor.set_stride({heads * length, length, 1, 1});
  }

  TensorPtr input(Slot slot, Slot offset, int64_t heads, int64_t row) {
    Attributes tensor;
    place(tensor, slot, offset, heads, row);
    return graph_.tensor(tensor);
  }

  /// What both passes share: scale, causality, lengths.
  template <class Options>
  Options options() {
    Options options;
    options.set_name("attention")
        .set_attn_scale(shape_.scale)
        .set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
        .set_diagonal_band_right_bound(0);
    if (ragged())
      options.set_padding_mask(true)
          .set_seq_len_q(vector(kQueryLengths, shape_.batch, fe::DataType_t::INT32))
          .set_seq_len_kv(vector(kKeyLengths, shape_.batch, fe::DataType_t::INT32));
    return options;
  }

  TensorPtr q() { return input(kQ, kQOffset, shape_.query_heads, q_row()); }
  TensorPtr k() { return input(kK, kKOffset, shape_.kv_heads, shape_.k_row); }
  TensorPtr v() { return input(kV, kVOffset, shape_.kv_heads, shape_.v_row); }
  int64_t q_row() const { return shape_.query_heads * shape_.dim; }

  fe::graph::Graph& graph_;
  const GraphShape& shape_;
  std::map<Slot, TensorPtr> offsets_;
};

void Description::add_forward() {
  auto options = this->options<fe::graph::SDPA_attributes>();
  options.set_generate_stats(true);
  auto [o, statistics] = graph_.sdpa(q(), k(), v(), options);
  place(o->set_output(true), kO, kOOffset, shape_.query_heads, q_row());
  place_statistics(statistics->set_output(true));
}

void Description::add_backward() {
  auto options = this->options<fe::graph::SDPA_backward_attributes>();
  options.set_deterministic_algorithm(shape_.deterministic);
  if (ragged())
    options.set_max_total_seq_len_q(shape_.tokens)
        .set_max_total_seq_len_kv(shape_.tokens);
  const TensorPtr o = input(kO, kOOffset, shape_.query_heads, q_row());
  const TensorPtr d_o = input(kDo, kOOffset, shape_.query_heads, q_row());
  Attributes statistics;
  place_statistics(statistics);
  auto [dq, dk, dv] =
      graph_.sdpa_backward(q(), k(), v(), o, d_o, graph_.tensor(statistics), options);
  place(dq->set_output(true), kDq, kQOffset, shape_.query_heads, q_row());
  // Where rows are alike, cuDNN is given the same offsets, as its other users do.
  const int64_t dk_row = shape_.kv_heads * shape_.dim, dv_row = shape_.dv_row;
  const Slot dk_offset = dk_row == shape_.k_row ? kKOffset : kDkOffset;
  const Slot dv_offset = dv_row == shape_.v_row ? kVOffset : kDvOffset;
  place(dk->set_output(true), kDk, dk_offset, shape_.kv_heads, dk_row);
  place(dv->set_output(true), kDv, dv_offset, shape_.kv_heads, dv_row);
}

/// The first failure of the steps up to the point where cuDNN knows whether it can.
fe::error_t describe(fe::graph::Graph& graph, cudnnHandle_t handle) {
  fe::error_t status = graph.validate();
  if (status.is_good()) status = graph.build_operation_graph(handle);
  if (status.is_good()) status = graph.create_execution_plans({fe::HeurMode_t::A});
  if (status.is_good()) status = graph.check_support();
  return status;
}

}  // namespace

struct AttentionGraph::Built {
  fe::graph::Graph graph;
  std::vector<int64_t> slots;  ///< in the order in which run() must pass pointers
  int64_t workspace = 0;
  bool has_plan = false;
};

AttentionGraph::AttentionGraph(const GraphShape& shape)
    : built_(std::make_unique<Built>()) {
  built_->graph.set_io_data_type(fe::DataType_t::BFLOAT16)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  Description description(built_->graph, shape);
  if (shape.pass == GraphShape::Pass::kForward)
    description.add_forward();
  else
    description.add_backward();
  const fe::error_t status = describe(built_->graph, at::native::getCudnnHandle());
  if (!status.is_good()) refusal_ = status.err_msg;
}

AttentionGraph::~AttentionGraph() = default;

void AttentionGraph::build() {
  const fe::error_t status =
      built_->graph.build_plans(fe::BuildPlanPolicy_t::HEURISTICS_CHOICE);
  if (!status.is_good())
    throw Error(cat("cuDNN cannot build its attention kernel: ", status.err_msg),
                "use attention_backend = flash");
  built_->slots = built_->graph.get_variant_pack_uids_sorted();
  built_->workspace = built_->graph.get_workspace_size();
  built_->has_plan = true;
}

void AttentionGraph::run(const Pointers& pointers, at::Device device) {
  if (!refusal_.empty())
    throw Error(cat("cuDNN refuses this attention: ", refusal_),
                "use attention_backend = auto or flash");
  const cudnnHandle_t handle = at::native::getCudnnHandle();
  if (!built_->has_plan) build();
  Pointers ordered{};
  const int count = static_cast<int>(built_->slots.size());
  for (int i = 0; i < count; ++i) {
    ordered[i] = pointers.at(static_cast<size_t>(built_->slots[i]));
    MT_CHECK(ordered[i] != nullptr, "no tensor in slot ", built_->slots[i]);
  }
  const at::Tensor workspace =
      at::empty({built_->workspace}, at::TensorOptions(device).dtype(at::kByte));
  const fe::error_t status =
      built_->graph.execute(handle, ordered.data(), count, workspace.mutable_data_ptr());
  if (!status.is_good()) throw Error(cat("cuDNN attention failed: ", status.err_msg));
}

std::string cudnn_version() {
  const size_t version = cudnnGetVersion();
  return cat(version / 10000, ".", version / 100 % 100);
}

}  // namespace mtrain::kernels::cuda
