// Flat storage of all parameters of a rank, cut into buckets: the unit of gradient
// reduction, optimizer sharding and parameter gathering.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "mtrain/parallel/param.hpp"

namespace mtrain::parallel {

struct ParamBufferOptions {
  at::ScalarType dtype;  ///< of the weights; gradients are fp32
  at::Device device;
  int64_t bucket_elements;  ///< a bucket is closed once it holds this many
  int shards;               ///< data-parallel ranks a bucket must split over evenly
  int expert_shards = 1;    ///< the same for buckets of experts: expert-data ranks
};

/// A contiguous range [begin, end) of the flat buffers. Never spans two chunks, nor
/// experts and other parameters; a tied parameter has a bucket of its own, so that the
/// first and last stage shard it alike.
struct Bucket {
  int64_t begin, end;
  std::vector<Parameter*> params;

  int64_t size() const { return end - begin; }
  bool expert() const { return params.front()->spec.expert; }
};

/// Register all parameters in forward order, then allocate once. Parameters are laid out
/// in the order their gradients become complete (the reverse), so that buckets fill one
/// after another.
class ParamBuffer {
 public:
  /// The reference stays valid for the life of the buffer.
  Parameter& add(ParamSpec spec, int chunk);

  /// Lays out and allocates; sets weight, grad, bucket and begin of every parameter. All
  /// zero.
  void allocate(const ParamBufferOptions& options);

  /// In forward order.
  const std::vector<std::unique_ptr<Parameter>>& params() const { return params_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  /// Makes every parameter's weight a view into `flat`, which is laid out as weights().
  void bind_weights(const at::Tensor& flat);
  /// Flat ranges of one bucket.
  at::Tensor weights(const Bucket& bucket) const;
  at::Tensor grads(const Bucket& bucket) const;
  /// At the start of a step: matrices become stale, vectors are zeroed.
  void forget_grads();
  /// All of them, flat.
  const at::Tensor& weights() const { return weights_; }
  const at::Tensor& grads() const { return grads_; }
  at::ScalarType dtype() const { return weights_.scalar_type(); }

 private:
  void lay_out(const ParamBufferOptions& options);

  std::vector<std::unique_ptr<Parameter>> params_;
  std::vector<Bucket> buckets_;
  at::Tensor weights_, grads_;
};

/// While it lives, the parameters compute with other weights than those of the buffer.
class BoundWeights {
 public:
  BoundWeights(ParamBuffer& buffer, const at::Tensor& flat) : buffer_(buffer) {
    buffer_.bind_weights(flat);
  }
  ~BoundWeights() { buffer_.bind_weights(buffer_.weights()); }
  BoundWeights(const BoundWeights&) = delete;
  BoundWeights& operator=(const BoundWeights&) = delete;

 private:
  ParamBuffer& buffer_;
};

/// The flat range [begin, end) of a bucket that rank `shard` of `shards` owns.
struct ShardRange {
  int64_t begin, end;
};
ShardRange shard_of(const Bucket& bucket, int shard, int shards);

}  // namespace mtrain::parallel
