// Flat buffers: where parameters and buckets lie, over many bucket sizes and shard
// counts.
#include "mtrain/parallel/param_buffer.hpp"

#include <ATen/ATen.h>

#include <boost/test/unit_test.hpp>

#include "mtrain/base/error.hpp"

using namespace mtrain;
using namespace mtrain::parallel;

namespace {

struct Entry {
  Shape shape;
  int chunk;
  bool tied;
};

/// Two chunks between tied ends, with sizes that are no multiple of anything.
const std::vector<Entry> kModel = {
    {{37, 8}, 0, true},  {{8}, 0, false},     {{24, 8}, 0, false}, {{5}, 0, false},
    {{8, 31}, 0, false}, {{64}, 1, false},    {{8, 8}, 1, false},  {{129}, 1, false},
    {{1}, 1, false},     {{19, 8}, 1, false}, {{37, 8}, 1, true}};

void fill(ParamBuffer& buffer, const std::vector<Entry>& model,
          const ParamBufferOptions& options) {
  for (const Entry& e : model) {
    buffer.add({cat("p", buffer.params().size()),
                e.shape,
                {},
                Init::kNormal,
                TensorRole::kSharded,
                e.tied},
               e.chunk);
  }
  buffer.allocate(options);
}

/// Runs `check(buffer, options)` on buffers with these bucket sizes and shard counts.
template <class Check>
void for_all_buffers(const Check& check) {
  for (const int64_t bucket_elements : {1, 64, 100, 320, 1000, 1 << 20})
    for (const int shards : {1, 2, 3, 4, 8})
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        const ParamBufferOptions options{dtype, at::kCPU, bucket_elements, shards};
        ParamBuffer buffer;
        fill(buffer, kModel, options);
        check(buffer, options);
      }
}

int64_t elements(const Bucket& bucket) {
  int64_t total = 0;
  for (const Parameter* p : bucket.params) total += (numel(p->spec.shape) + 63) / 64 * 64;
  return total;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(param_buffer)

// Experts and other parameters take turns in a model, yet fill few buckets.
BOOST_AUTO_TEST_CASE(experts_have_buckets_of_their_own) {
  ParamBuffer buffer;
  for (int layer = 0; layer < 4; ++layer) {
    for (const bool expert : {false, true}) {
      ParamSpec spec{cat("p", layer, expert), {100, 3}, {}, Init::kNormal,
                     TensorRole::kSharded,    false};
      spec.expert = expert;
      buffer.add(std::move(spec), 0);
    }
  }
  buffer.allocate({at::kFloat, at::kCPU, 600, 1, 3});
  BOOST_TEST(buffer.buckets().size() == 4u);
  int64_t end = 0;
  for (const Bucket& bucket : buffer.buckets()) {
    BOOST_TEST(bucket.begin == end);
    end = bucket.end;
    BOOST_TEST(bucket.params.size() == 2u);
    BOOST_TEST(bucket.size() % (bucket.expert() ? 3 * 64 : 64) == 0);
    for (const Parameter* p : bucket.params) {
      BOOST_TEST(p->spec.expert == bucket.expert());
      BOOST_TEST(p->begin >= bucket.begin);
      BOOST_TEST(p->begin + 300 <= bucket.end);
    }
  }
  BOOST_TEST(buffer.weights().numel() == end);
}

BOOST_AUTO_TEST_CASE(parameters_lie_aligned_in_reverse_order_without_overlap) {
  for_all_buffers([](const ParamBuffer& buffer, const ParamBufferOptions&) {
    int64_t next = 0;
    for (size_t i = buffer.params().size(); i-- > 0;) {
      const Parameter& p = *buffer.params()[i];
      BOOST_TEST(p.spec.name == cat("p", i));
      BOOST_TEST(p.begin % 64 == 0);
      BOOST_TEST(p.begin >= next);
      next = p.begin + numel(p.spec.shape);
      const Bucket& bucket = buffer.buckets()[static_cast<size_t>(p.bucket)];
      BOOST_TEST(p.begin >= bucket.begin);
      BOOST_TEST(next <= bucket.end);
    }
  });
}

BOOST_AUTO_TEST_CASE(buckets_are_contiguous_and_split_evenly) {
  for_all_buffers([](const ParamBuffer& buffer, const ParamBufferOptions& options) {
    int64_t next = 0;
    size_t params = 0;
    for (const Bucket& bucket : buffer.buckets()) {
      BOOST_TEST(bucket.begin == next);
      BOOST_TEST(bucket.size() % (options.shards * 64) == 0);
      int64_t shard_end = bucket.begin;
      for (int shard = 0; shard < options.shards; ++shard) {
        const ShardRange range = shard_of(bucket, shard, options.shards);
        BOOST_TEST(range.begin == shard_end);
        BOOST_TEST(range.begin % 64 == 0);
        shard_end = range.end;
      }
      BOOST_TEST(shard_end == bucket.end);
      next = bucket.end;
      params += bucket.params.size();
    }
    BOOST_TEST(params == buffer.params().size());
  });
}

BOOST_AUTO_TEST_CASE(buckets_never_span_chunks_and_tied_parameters_are_alone) {
  for_all_buffers([](const ParamBuffer& buffer, const ParamBufferOptions&) {
    for (const Bucket& bucket : buffer.buckets()) {
      for (const Parameter* p : bucket.params) {
        BOOST_TEST(p->chunk == bucket.params.front()->chunk);
        if (p->spec.tied) BOOST_TEST(bucket.params.size() == 1u);
      }
    }
    // Both ends shard the tied parameter alike.
    BOOST_TEST(buffer.buckets().front().size() == buffer.buckets().back().size());
  });
}

// A bucket ends where it is full, at the border of a chunk, or beside a tied parameter.
BOOST_AUTO_TEST_CASE(buckets_are_closed_once_full) {
  for_all_buffers([](const ParamBuffer& buffer, const ParamBufferOptions& options) {
    const auto& buckets = buffer.buckets();
    for (size_t i = 0; i < buckets.size(); ++i) {
      const auto& params = buckets[i].params;
      const int64_t last = (numel(params.back()->spec.shape) + 63) / 64 * 64;
      BOOST_TEST(elements(buckets[i]) - last < options.bucket_elements);
      if (i + 1 == buckets.size()) break;
      const auto& after = *buckets[i + 1].params.front();
      const bool border = after.chunk != params.back()->chunk || after.spec.tied ||
                          params.back()->spec.tied;
      BOOST_TEST((border || elements(buckets[i]) >= options.bucket_elements));
    }
  });
}

BOOST_AUTO_TEST_CASE(views_share_the_flat_storage) {
  for_all_buffers([](const ParamBuffer& buffer, const ParamBufferOptions& options) {
    BOOST_TEST((buffer.dtype() == options.dtype));
    for (const auto& p : buffer.params()) {
      const Bucket& bucket = buffer.buckets()[static_cast<size_t>(p->bucket)];
      const at::Tensor weights = buffer.weights(bucket), grads = buffer.grads(bucket);
      BOOST_TEST(
          (weights.scalar_type() == options.dtype && grads.scalar_type() == at::kFloat));
      BOOST_TEST(
          (p->weight.sizes() == p->spec.shape && p->grad.sizes() == p->spec.shape));
      const int64_t at = p->begin - bucket.begin;
      BOOST_TEST(p->weight.data_ptr() == weights.narrow(0, at, 1).data_ptr());
      BOOST_TEST(p->grad.data_ptr() == grads.narrow(0, at, 1).data_ptr());
      BOOST_TEST(weights.numel() == bucket.size());
    }
  });
}

BOOST_AUTO_TEST_CASE(all_starts_at_zero_and_gradients_return_to_it) {
  ParamBuffer buffer;
  fill(buffer, kModel, {at::kFloat, at::kCPU, 300, 2});
  const auto largest = [&](bool grads) {
    double most = 0;
    for (const Bucket& b : buffer.buckets()) {
      const at::Tensor flat = grads ? buffer.grads(b) : buffer.weights(b);
      most = std::max(most, flat.abs().max().item<double>());
    }
    return most;
  };
  BOOST_TEST(largest(true) == 0.0);
  BOOST_TEST(largest(false) == 0.0);
  for (const auto& p : buffer.params()) {
    p->grad.fill_(2.0);
    p->weight.fill_(3.0);
  }
  BOOST_TEST(largest(true) == 2.0);
  buffer.forget_grads();
  for (const auto& p : buffer.params()) {
    BOOST_TEST(p->grad_is_stale == (p->spec.shape.size() >= 2));
    p->grad_to_add_to();
  }
  BOOST_TEST(largest(true) == 0.0);
  BOOST_TEST(largest(false) == 3.0);
}

BOOST_AUTO_TEST_CASE(nothing_is_added_after_allocation) {
  ParamBuffer buffer;
  fill(buffer, kModel, {at::kFloat, at::kCPU, 300, 2});
  BOOST_CHECK_THROW(
      buffer.add({"late", {2}, {}, Init::kOnes, TensorRole::kSharded, false}, 0), Error);
}

BOOST_AUTO_TEST_SUITE_END()
