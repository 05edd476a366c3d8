// Where logical tensors come from and go to: HF safetensors folders and mtrain
// checkpoints both speak this, so loading, resharding and conversion are one operation.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstring>
#include <string>
#include <vector>

#include "mtrain/parallel/box.hpp"

namespace mtrain::checkpoint {

struct TensorInfo {
  std::string name;
  parallel::Shape shape;
  at::ScalarType dtype;
};

/// A set of named logical tensors of which any rectangle can be read.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// All tensors, sorted by name.
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  /// Nullptr when there is none of that name.
  virtual const TensorInfo* find(const std::string& name) const = 0;
  /// The rectangle as a contiguous CPU tensor of the stored dtype and the box's extent.
  /// Reads only the bytes needed (whole rows at most). Throws UserError naming file and
  /// tensor when the box does not match the stored shape or the file is damaged.
  virtual at::Tensor read(const parallel::Box& box) const = 0;
  /// The same into memory of the caller, for those who read much, piece by piece.
  virtual void read_into(const parallel::Box& box, void* out) const {
    const at::Tensor data = read(box);
    std::memcpy(out, data.const_data_ptr(), data.nbytes());
  }
};

}  // namespace mtrain::checkpoint
