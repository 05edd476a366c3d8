// Lays parameters out in flat buffers; models register here, gradient sync and optimizer
// use it.
#include "mtrain/parallel/param_buffer.hpp"

#include <ATen/ATen.h>

#include "mtrain/base/error.hpp"

namespace mtrain::parallel {
namespace {

/// Every parameter starts at a multiple of this many elements: 128 bytes in bf16, what
/// the widest vector loads and tensor copies of a GPU want.
constexpr int64_t kAlignment = 64;

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Whether `p` may join a bucket that is being filled.
bool takes(const Bucket& bucket, const Parameter& p, const ParamBufferOptions& options) {
  const Parameter& last = *bucket.params.back();
  return bucket.end < options.bucket_elements && last.chunk == p.chunk &&
         !last.spec.tied && !p.spec.tied;
}

}  // namespace

Parameter& ParamBuffer::add(ParamSpec spec, int chunk) {
  MT_CHECK(!weights_.defined(), "parameter ", spec.name, " registered after allocation");
  auto parameter = std::make_unique<Parameter>();
  parameter->spec = std::move(spec);
  parameter->chunk = chunk;
  params_.push_back(std::move(parameter));
  return *params_.back();
}

// While a bucket is filled its range and its parameters' begins count from 0.
void ParamBuffer::lay_out(const ParamBufferOptions& options) {
  constexpr size_t kNone = SIZE_MAX;
  size_t open[] = {kNone, kNone};  // the bucket being filled: without experts, of experts
  for (auto it = params_.rbegin(); it != params_.rend(); ++it) {
    Parameter& p = **it;
    size_t& index = open[p.spec.expert ? 1 : 0];
    if (index == kNone || !takes(buckets_[index], p, options)) {
      index = buckets_.size();
      buckets_.push_back({0, 0, {}});
    }
    Bucket& bucket = buckets_[index];
    p.bucket = static_cast<int>(index);
    p.begin = bucket.end;
    bucket.params.push_back(&p);
    bucket.end += round_up(numel(p.spec.shape), kAlignment);
  }
  int64_t offset = 0;
  for (Bucket& bucket : buckets_) {
    const int shards = bucket.expert() ? options.expert_shards : options.shards;
    for (Parameter* p : bucket.params) p->begin += offset;
    bucket.begin = offset;
    offset += round_up(bucket.end, shards * kAlignment);
    bucket.end = offset;
  }
}

void ParamBuffer::allocate(const ParamBufferOptions& options) {
  lay_out(options);
  const int64_t total = buckets_.empty() ? 0 : buckets_.back().end;
  const auto flat = at::TensorOptions().device(options.device);
  weights_ = at::zeros({total}, flat.dtype(options.dtype));
  grads_ = at::zeros({total}, flat.dtype(at::kFloat));
  bind_weights(weights_);
  for (auto& p : params_) {
    p->grad = grads_.narrow(0, p->begin, numel(p->spec.shape)).view(p->spec.shape);
  }
}

void ParamBuffer::bind_weights(const at::Tensor& flat) {
  MT_CHECK(flat.sizes() == weights_.sizes() && flat.dtype() == weights_.dtype());
  for (auto& p : params_) {
    p->weight = flat.narrow(0, p->begin, numel(p->spec.shape)).view(p->spec.shape);
  }
}

void ParamBuffer::forget_grads() {
  std::vector<at::Tensor> vectors;
  for (auto& p : params_) {
    p->grad_is_stale = p->spec.shape.size() >= 2;
    if (!p->grad_is_stale) vectors.push_back(p->grad);
  }
  at::_foreach_zero_(vectors);
}

at::Tensor ParamBuffer::weights(const Bucket& bucket) const {
  return weights_.narrow(0, bucket.begin, bucket.size());
}

at::Tensor ParamBuffer::grads(const Bucket& bucket) const {
  return grads_.narrow(0, bucket.begin, bucket.size());
}

ShardRange shard_of(const Bucket& bucket, int shard, int shards) {
  const int64_t each = bucket.size() / shards;
  return {bucket.begin + shard * each, bucket.begin + (shard + 1) * each};
}

}  // namespace mtrain::parallel
