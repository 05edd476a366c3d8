// One cuDNN graph of causal attention and its plan: built for a class of shapes, run for
// every call that falls into it. Hides cuDNN's frontend from its users.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <compare>
#include <memory>
#include <string>

namespace mtrain::kernels::cuda {

/// What a plan is built for. Rows are strides over tokens, in elements.
struct GraphShape {
  enum class Pass { kForward, kBackward };
  /// kEqual: [B, S, heads, D] with every document S long. kRagged: documents one after
  /// another, lengths and offsets read from device memory.
  enum class Layout { kEqual, kRagged };

  Pass pass;
  Layout layout;
  bool deterministic;
  int64_t batch, length;  ///< of kRagged: upper bounds
  int64_t tokens;         ///< upper bound over all documents; backward of kRagged only
  int64_t query_heads, kv_heads, dim;
  int64_t k_row, v_row, dv_row;  ///< dv_row: backward only
  float scale;

  auto operator<=>(const GraphShape&) const = default;
};

/// The tensors of a graph. Those named ...Offset hold B+1 int64 (elements), lengths B
/// int32; both exist in kRagged only.
enum Slot : int64_t {
  kQ = 1,
  kK,
  kV,
  kO,
  kStats,
  kDo,
  kDq,
  kDk,
  kDv,
  kQOffset,
  kKOffset,
  kVOffset,
  kOOffset,
  kStatsOffset,
  kDkOffset,
  kDvOffset,
  kQueryLengths,
  kKeyLengths,
  kSlots
};
using Pointers = std::array<void*, kSlots>;

/// Statistics are fp32, [B, N, S] of kEqual and [T, N] of kRagged. dk is contiguous.
class AttentionGraph {
 public:
  /// Describes the graph to cuDNN; compiles nothing. Never throws for what cuDNN refuses.
  explicit AttentionGraph(const GraphShape& shape);
  ~AttentionGraph();

  /// Why cuDNN cannot run it; empty if it can.
  const std::string& refusal() const { return refusal_; }

  /// On the current stream of `device`. Builds the plan at the first call. Throws Error.
  void run(const Pointers& pointers, at::Device device);

 private:
  struct Built;
  void build();

  std::unique_ptr<Built> built_;
  std::string refusal_;
};

}  // namespace mtrain::kernels::cuda
