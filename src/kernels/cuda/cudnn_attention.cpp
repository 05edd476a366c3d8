// Owns attention through cuDNN: which plan serves a call, and its arguments. Called by
// attention.cpp.
//
// Shapes: T tokens, N query heads, K key/value heads, D head size, B documents, S
// longest.
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <bit>
#include <map>

#include "../attention_backend.hpp"
#include "attention_backends.hpp"
#include "cudnn_graph.hpp"
#include "document_offsets.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::kernels::cuda {
namespace {

using Pass = GraphShape::Pass;
using Layout = GraphShape::Layout;

int64_t round_up(int64_t value, int64_t least) {
  return static_cast<int64_t>(
      std::bit_ceil(static_cast<uint64_t>(std::max(value, least))));
}

/// A plan takes cuDNN a noticeable time, so only lengths that come again get their own.
bool equal_lengths(const Documents& documents) {
  const int64_t length = documents.longest();
  if (length < 128 || (length % 1024 != 0 && round_up(length, 1) != length)) return false;
  return length * documents.count() == documents.offsets.back();
}

struct Inputs {
  const at::Tensor &q_TND, &k_TKD, &v_TKD;
  const Documents& documents;
  const AttentionOptions& options;
};

/// Shapes that differ in little share a plan: counts are rounded up to powers of two.
GraphShape forward_shape(const Inputs& in) {
  const bool equal = equal_lengths(in.documents);
  const int64_t documents = in.documents.count(), longest = in.documents.longest();
  return {.pass = Pass::kForward,
          .layout = equal ? Layout::kEqual : Layout::kRagged,
          .deterministic = false,
          .batch = equal ? documents : round_up(documents, 4),
          .length = equal ? longest : round_up(longest, 128),
          .tokens = 0,
          .query_heads = in.q_TND.size(1),
          .kv_heads = in.k_TKD.size(1),
          .dim = in.q_TND.size(2),
          .k_row = in.k_TKD.stride(0),
          .v_row = in.v_TKD.stride(0),
          .dv_row = 0,
          .scale = static_cast<float>(in.options.scale)};
}

GraphShape backward_shape(const Inputs& in, int64_t dv_row) {
  GraphShape shape = forward_shape(in);
  shape.pass = Pass::kBackward;
  shape.deterministic = in.options.deterministic;
  if (shape.layout == Layout::kRagged) shape.tokens = round_up(in.q_TND.size(0), 1024);
  shape.dv_row = dv_row;
  return shape;
}

/// With ragged offsets and grouped heads cuDNN's workspace holds dv of each query head,
/// the rows as far apart as dv's times N/K: a wide row would cost gigabytes.
bool needs_dense_dv(const GraphShape& forward) {
  return forward.layout == Layout::kRagged && forward.query_heads != forward.kv_heads;
}

int64_t dv_row(const GraphShape& forward, int64_t wanted) {
  return needs_dense_dv(forward) ? forward.kv_heads * forward.dim : wanted;
}

/// Of this thread, like the cuDNN handle of LibTorch: freed before CUDA shuts down.
AttentionGraph& graph_of(const GraphShape& shape, at::Device device) {
  thread_local std::map<std::pair<int, GraphShape>, AttentionGraph> graphs;
  return graphs.try_emplace({device.index(), shape}, shape).first->second;
}

/// Deterministic gradients of dq go through a [B, N, S, S] matrix in bf16.
constexpr int64_t kMatrixLimit = int64_t{4} << 30;

int64_t matrix_bytes(const GraphShape& s) {
  return s.deterministic ? 2 * s.batch * s.query_heads * s.length * s.length : 0;
}

/// cuDNN takes pointers to what it only reads as void*, too.
void* address(const at::Tensor& x) {
  return const_cast<void*>(x.const_data_ptr());
}

void set_inputs(Pointers& pointers, const Inputs& in, const Attention& saved) {
  pointers[kQ] = address(in.q_TND);
  pointers[kK] = address(in.k_TKD);
  pointers[kV] = address(in.v_TKD);
  pointers[kO] = address(saved.o_TND);
  pointers[kStats] = address(saved.lse_NT);
}

/// Fills the slots of kRagged; what is returned has to live until the graph ran.
RaggedOffsets set_offsets(Pointers& pointers, const Inputs& in, const GraphShape& shape) {
  if (shape.layout == Layout::kEqual) return {};
  const int64_t q_row = shape.query_heads * shape.dim;
  const int64_t dk_row = shape.kv_heads * shape.dim;
  RaggedOffsets ragged = ragged_offsets(
      device_offsets(in.documents, in.q_TND.device()), shape.batch,
      {q_row, shape.k_row, shape.v_row, shape.query_heads, dk_row, shape.dv_row});
  auto* const starts = static_cast<int64_t*>(address(ragged.starts_RB1));
  const auto row = [&](int64_t r) { return starts + r * ragged.starts_RB1.stride(0); };
  pointers[kQOffset] = pointers[kOOffset] = row(0);
  pointers[kKOffset] = row(1);
  pointers[kVOffset] = row(2);
  pointers[kStatsOffset] = row(3);
  pointers[kDkOffset] = row(4);
  pointers[kDvOffset] = row(5);
  pointers[kQueryLengths] = pointers[kKeyLengths] = address(ragged.lengths_B);
  return ragged;
}

}  // namespace

std::string cudnn::refusal(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const Documents& documents, const AttentionOptions& options) {
  const Inputs in{q, k, v, documents, options};
  const GraphShape forward = forward_shape(in);
  const GraphShape backward = backward_shape(in, dv_row(forward, v.stride(0)));
  if (matrix_bytes(backward) > kMatrixLimit)
    return cat("deterministic gradients of ", backward.batch, " x ", backward.length,
               " tokens would need ", matrix_bytes(backward) >> 30, " GiB");
  const std::string& why = graph_of(forward, q.device()).refusal();
  return why.empty() ? graph_of(backward, q.device()).refusal() : why;
}

void cudnn::forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const Documents& documents, const AttentionOptions& options,
                    Attention& out) {
  const Inputs in{q, k, v, documents, options};
  const GraphShape shape = forward_shape(in);
  Pointers pointers{};
  set_inputs(pointers, in, out);
  const RaggedOffsets ragged = set_offsets(pointers, in, shape);
  graph_of(shape, q.device()).run(pointers, q.device());
}

void cudnn::backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                     const at::Tensor& v, const Attention& saved,
                     const Documents& documents, const AttentionOptions& options,
                     AttentionGrad& grad) {
  const Inputs in{q, k, v, documents, options};
  const int64_t row = dv_row(forward_shape(in), grad.dv_TKD.stride(0));
  const bool direct = row == grad.dv_TKD.stride(0);
  const at::Tensor dv =
      direct ? grad.dv_TKD : at::empty_like(grad.dv_TKD, at::MemoryFormat::Contiguous);
  const GraphShape shape = backward_shape(in, row);
  Pointers pointers{};
  set_inputs(pointers, in, saved);
  pointers[kDo] = address(dout);
  pointers[kDq] = address(grad.dq_TND);
  pointers[kDk] = address(grad.dk_TKD);
  pointers[kDv] = address(dv);
  const RaggedOffsets ragged = set_offsets(pointers, in, shape);
  graph_of(shape, q.device()).run(pointers, q.device());
  if (!direct) grad.dv_TKD.copy_(dv);
}

}  // namespace mtrain::kernels::cuda
