// Times the operators of `kernels` on one GPU at the sizes of Qwen3-1.7B: GB/s and the
// share of a device copy measured in the same run, one JSON line per case. Called by
// kernels_bench with --device cuda.
#include "kernels_bench_cuda.hpp"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "mtrain/base/error.hpp"
#include "mtrain/kernels/activation.hpp"
#include "mtrain/kernels/cross_entropy.hpp"
#include "mtrain/kernels/embedding.hpp"
#include "mtrain/kernels/norm.hpp"
#include "mtrain/kernels/optimizer.hpp"
#include "mtrain/kernels/random.hpp"
#include "mtrain/kernels/rope.hpp"

namespace {

using namespace mtrain::kernels;

using Outputs = std::vector<at::Tensor>;

constexpr int64_t kSets =
    4;  ///< of buffers, used in turn: none is in L2 when its turn comes
constexpr int64_t kHidden = 2048, kFfn = 6144, kVocab = 151936;
constexpr QkvShape kHeads{16, 8, 128};

at::TensorOptions gpu(at::ScalarType dtype) {
  return at::device(at::kCUDA).dtype(dtype);
}

/// kSets tensors of random values.
std::vector<at::Tensor> sets(at::IntArrayRef sizes, at::ScalarType dtype) {
  std::vector<at::Tensor> all;
  for (int64_t i = 0; i < kSets; ++i) all.push_back(at::randn(sizes, gpu(dtype)));
  return all;
}

class Timer {
 public:
  Timer() {
    cudaEventCreate(&begin_);
    cudaEventCreate(&end_);
  }
  ~Timer() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Median seconds of a call over batches of calls, f(turn) returning what it made.
  template <class F>
  double seconds(const F& f) {
    constexpr int kBatches = 11, kCalls = 2 * kSets;
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
    std::vector<Outputs> kept(kSets);
    std::vector<double> times;
    for (int batch = -2; batch < kBatches; ++batch) {
      cudaEventRecord(begin_, stream);
      for (int64_t i = 0; i < kCalls; ++i) kept[i % kSets] = f(i % kSets);
      cudaEventRecord(end_, stream);
      MT_CHECK(cudaEventSynchronize(end_) == cudaSuccess, "the GPU failed");
      float milliseconds = 0;
      cudaEventElapsedTime(&milliseconds, begin_, end_);
      if (batch >= 0) times.push_back(1e-3 * milliseconds / kCalls);
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  }

 private:
  cudaEvent_t begin_, end_;
};

/// GB/s of a copy of 1 GiB, read and write counted.
double copy_rate() {
  static const double rate = [] {
    const auto from = sets({int64_t{1} << 28}, at::kFloat);
    at::Tensor to = at::empty_like(from[0]);
    Timer timer;
    const double seconds = timer.seconds([&](int64_t i) -> Outputs {
      to.copy_(from[i]);
      return {};
    });
    return 2 * static_cast<double>(to.nbytes()) / seconds / 1e9;
  }();
  return rate;
}

/// `bytes` is what an ideal implementation must move.
template <class F>
void measure(const std::string& op, int64_t tokens, at::ScalarType dtype, double bytes,
             const F& f) {
  Timer timer;
  const double seconds = timer.seconds(f), rate = bytes / seconds / 1e9;
  std::printf(
      "{\"op\": \"%s\", \"tokens\": %lld, \"dtype\": \"%s\", \"us\": %.1f, "
      "\"GB/s\": %.0f, \"of_copy\": %.2f}\n",
      op.c_str(), static_cast<long long>(tokens), c10::toString(dtype), seconds * 1e6,
      rate, rate / copy_rate());
  std::fflush(stdout);
}

void bench_norm(int64_t tokens, at::ScalarType dtype) {
  const auto x = sets({tokens, kHidden}, dtype), delta = sets({tokens, kHidden}, dtype);
  const auto residual = sets({tokens, kHidden}, dtype);
  const at::Tensor weight = at::randn({kHidden}, gpu(dtype));
  const at::Tensor rstd = rms_norm_forward(x[0], weight, 1e-6).rstd_T;
  at::Tensor dweight = at::zeros({kHidden}, gpu(at::kFloat));
  const double row = static_cast<double>(x[0].nbytes());
  measure("rms_norm_forward", tokens, dtype, 2 * row, [&](int64_t i) -> Outputs {
    return {rms_norm_forward(x[i], weight, 1e-6).y_TH};
  });
  measure("add_rms_norm_forward", tokens, dtype, 4 * row, [&](int64_t i) -> Outputs {
    const AddRmsNorm out = add_rms_norm_forward(x[i], delta[i], weight, 1e-6);
    return {out.sum_TH, out.y_TH};
  });
  measure("rms_norm_apply", tokens, dtype, 2 * row,
          [&](int64_t i) -> Outputs { return {rms_norm_apply(x[i], weight, rstd)}; });
  measure("rms_norm_backward", tokens, dtype, 4 * row, [&](int64_t i) -> Outputs {
    return {rms_norm_backward(delta[i], x[i], weight, rstd, residual[i], dweight)};
  });
}

void bench_rope(int64_t tokens, at::ScalarType dtype) {
  const int64_t d = kHeads.head_dim, q = kHeads.query_heads, k = kHeads.kv_heads;
  const auto qkv = sets({tokens, (q + 2 * k) * d}, dtype);
  auto dqkv = sets({tokens, (q + 2 * k) * d}, dtype);
  const auto dq = sets({tokens, q, d}, dtype), dk = sets({tokens, k, d}, dtype);
  const at::Tensor weight = at::randn({d}, gpu(dtype));
  at::Tensor dq_weight = at::zeros({d}, gpu(at::kFloat)), dk_weight = dq_weight.clone();
  const at::Tensor positions = at::arange(tokens, gpu(at::kLong));
  const RopeTable table = rope_table(positions, d, 1e6);
  const at::Tensor rstd =
      qk_norm_rope_forward(qkv[0], weight, weight, table, kHeads, 1e-6).rstd_TNK;
  const double heads = static_cast<double>(dq[0].nbytes() + dk[0].nbytes());
  const double angles = static_cast<double>(2 * table.cos_TD.nbytes());
  measure("rope_table", tokens, at::kFloat, angles,
          [&](int64_t) -> Outputs { return {rope_table(positions, d, 1e6).cos_TD}; });
  measure("qk_norm_rope_forward", tokens, dtype, 2 * heads + angles,
          [&](int64_t i) -> Outputs {
            const QkNormRope out =
                qk_norm_rope_forward(qkv[i], weight, weight, table, kHeads, 1e-6);
            return {out.q_TND, out.k_TKD};
          });
  measure("qk_norm_rope_backward", tokens, dtype, 3 * heads + angles,
          [&](int64_t i) -> Outputs {
            qk_norm_rope_backward(dq[i], dk[i], qkv[i], weight, weight, rstd, table,
                                  kHeads, dqkv[i], dq_weight, dk_weight);
            return {};
          });
}

void bench_swiglu(int64_t tokens, at::ScalarType dtype) {
  const auto gate_up = sets({tokens, 2 * kFfn}, dtype), dy = sets({tokens, kFfn}, dtype);
  const double row = static_cast<double>(dy[0].nbytes());
  measure("swiglu_forward", tokens, dtype, 3 * row,
          [&](int64_t i) -> Outputs { return {swiglu_forward(gate_up[i])}; });
  measure("swiglu_backward", tokens, dtype, 5 * row,
          [&](int64_t i) -> Outputs { return {swiglu_backward(dy[i], gate_up[i])}; });
  measure("swiglu_backward_recompute", tokens, dtype, 6 * row, [&](int64_t i) -> Outputs {
    const SwigluGrad out = swiglu_backward_recompute(dy[i], gate_up[i]);
    return {out.dgate_up, out.y_TF};
  });
}

void bench_cross_entropy(int64_t tokens, at::ScalarType dtype) {
  // In place: after the first turn these are gradients, which cost the same.
  auto logits = sets({tokens, kVocab}, dtype);
  const at::Tensor targets = at::randint(0, kVocab, {tokens}, gpu(at::kLong));
  const at::Tensor weight = at::ones({tokens}, gpu(at::kFloat));
  const at::Tensor lse = at::full({tokens}, 12.0, gpu(at::kFloat));
  const double size = static_cast<double>(logits[0].nbytes());
  measure("cross_entropy_", tokens, dtype, 2 * size, [&](int64_t i) -> Outputs {
    return {cross_entropy_(logits[i], targets, weight, {0, kVocab})};
  });
  measure("cross_entropy_statistics", tokens, dtype, size, [&](int64_t i) -> Outputs {
    return {cross_entropy_statistics(logits[i], targets, {0, kVocab}).max_T};
  });
  measure("cross_entropy_backward_", tokens, dtype, 2 * size, [&](int64_t i) -> Outputs {
    cross_entropy_backward_(logits[i], lse, targets, weight, {0, kVocab});
    return {};
  });
}

void bench_embedding(int64_t tokens, at::ScalarType dtype) {
  const at::Tensor table = at::randn({kVocab, kHidden}, gpu(dtype));
  at::Tensor grad = at::zeros({kVocab, kHidden}, gpu(at::kFloat));
  const auto dy = sets({tokens, kHidden}, dtype);
  std::vector<at::Tensor> ids, frequent;
  for (int64_t i = 0; i < kSets; ++i) {
    ids.push_back(at::randint(0, kVocab, {tokens}, gpu(at::kLong)));
    frequent.push_back(ids[i].masked_fill(at::rand({tokens}, gpu(at::kFloat)) < 0.25, 7));
  }
  const double row = static_cast<double>(dy[0].nbytes());
  const double rows = 8.0 * static_cast<double>(dy[0].numel());
  measure("embedding_forward", tokens, dtype, 2 * row,
          [&](int64_t i) -> Outputs { return {embedding_forward(table, ids[i], 0)}; });
  measure("embedding_backward", tokens, dtype, row + rows, [&](int64_t i) -> Outputs {
    embedding_backward(grad, dy[i], ids[i], 0);
    return {};
  });
  measure("embedding_backward, a quarter one id", tokens, dtype, row + 0.75 * rows,
          [&](int64_t i) -> Outputs {
            embedding_backward(grad, dy[i], frequent[i], 0);
            return {};
          });
}

/// A shard of 256 Mi elements, and the filling of as many.
void bench_optimizer(at::ScalarType dtype) {
  const int64_t count = int64_t{1} << 28;
  const SegmentTable segments({{0, 0, count, true}}, at::kCUDA);
  const at::Tensor totals = at::ones({2}, gpu(at::kDouble));
  at::Tensor updates = at::zeros({1}, gpu(at::kLong));
  const auto make = [&] { return at::zeros({count}, gpu(at::kFloat)); };
  const at::Tensor grads = make();
  at::Tensor weights = at::zeros({count}, gpu(dtype));
  const bool narrow = dtype != at::kFloat;
  AdamWState state{narrow ? make() : at::Tensor(), make(), make()};
  const AdamW options{1e-3, 0.9, 0.95, 1e-8, 0.1, 0.0};
  const double elements = static_cast<double>(count);
  measure("adamw", count, dtype, (narrow ? 30 : 28) * elements, [&](int64_t) -> Outputs {
    adamw_update(adamw_scalars(options, totals, updates), state, grads, weights,
                 segments);
    return {};
  });
  measure("sum_of_squares", count, at::kFloat, 4 * elements,
          [&](int64_t) -> Outputs { return {sum_of_squares(grads, segments)}; });
  measure("normal_fill_", count, dtype,
          elements * static_cast<double>(weights.element_size()),
          [&](int64_t) -> Outputs {
            normal_fill_(weights, 1, "w", {count / kHidden, kHidden, 0, kHidden}, 0.02);
            return {};
          });
}

}  // namespace

void bench_on_gpu() {
  std::printf("{\"op\": \"copy\", \"GB/s\": %.0f}\n", copy_rate());
  for (const int64_t tokens : {16384, 4096}) {
    for (const at::ScalarType dtype : {at::kBFloat16, at::kFloat}) {
      bench_norm(tokens, dtype);
      bench_rope(tokens, dtype);
      bench_swiglu(tokens, dtype);
      bench_embedding(tokens, dtype);
    }
  }
  for (const at::ScalarType dtype : {at::kBFloat16, at::kFloat}) {
    bench_cross_entropy(2048, dtype);
    bench_optimizer(dtype);
  }
}
