// Times every operator of `kernels` on the CPU: bytes per second beside a copy measured
// in the same run, or floating-point operations per second, and the kernels of one small
// step.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>

#include "mtrain/kernels/activation.hpp"
#include "mtrain/kernels/attention.hpp"
#include "mtrain/kernels/cross_entropy.hpp"
#include "mtrain/kernels/embedding.hpp"
#include "mtrain/kernels/linear.hpp"
#include "mtrain/kernels/norm.hpp"
#include "mtrain/kernels/optimizer.hpp"
#include "mtrain/kernels/rope.hpp"

namespace {

using namespace mtrain::kernels;

/// Processor time of this thread, in seconds: other programs may share the machine.
double now() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Seconds of one call: the fastest of many batches, each long beside the clock's steps.
template <class F>
double fastest(const F& f) {
  constexpr double kBatch = 5e-3, kTotal = 0.25;
  int64_t calls = 1;
  double best = 1e30, spent = 0;
  while (spent < kTotal) {
    const double start = now();
    for (int64_t i = 0; i < calls; ++i) f();
    const double seconds = now() - start;
    spent += seconds;
    if (seconds < kBatch)
      calls *= 2;
    else
      best = std::min(best, seconds / static_cast<double>(calls));
  }
  return best;
}

double copy_rate = 0;

/// `bytes` is what an ideal implementation must move.
template <class F>
void memory_bound(const std::string& name, double bytes, const F& f) {
  const double seconds = fastest(f);
  const double rate = bytes / seconds / 1e9;
  std::printf("  %-28s %10.1f us %8.1f GB/s  %4.0f %% of copy\n", name.c_str(),
              seconds * 1e6, rate, 100 * rate / copy_rate);
}

template <class F>
double compute_bound(const std::string& name, double operations, const F& f) {
  const double seconds = fastest(f);
  std::printf("  %-28s %10.1f us %8.1f GFLOP/s\n", name.c_str(), seconds * 1e6,
              operations / seconds / 1e9);
  return seconds;
}

/// A copy of 256 MiB: read and write counted.
void bench_copy() {
  const size_t bytes = size_t{256} << 20;
  const at::Tensor from = at::ones({static_cast<int64_t>(bytes)}, at::kByte);
  at::Tensor to = at::zeros_like(from);
  const double seconds =
      fastest([&] { std::memcpy(to.mutable_data_ptr(), from.const_data_ptr(), bytes); });
  copy_rate = 2 * static_cast<double>(bytes) / seconds / 1e9;
  std::printf("memcpy: %.1f GB/s (read + write)\n", copy_rate);
}

void bench_rows(at::ScalarType dtype) {
  const int64_t tokens = 8192, hidden = 2048;
  const auto make = [&](int64_t width) { return at::randn({tokens, width}).to(dtype); };
  const double row = static_cast<double>(tokens) * hidden * (dtype == at::kFloat ? 4 : 2);
  const at::Tensor x = make(hidden), dy = make(hidden),
                   weight = at::ones({hidden}, dtype);
  at::Tensor dweight = at::zeros({hidden});
  const RmsNorm norm = rms_norm_forward(x, weight, 1e-6);
  memory_bound("rms_norm forward", 2 * row, [&] { rms_norm_forward(x, weight, 1e-6); });
  memory_bound("add_rms_norm forward", 4 * row,
               [&] { add_rms_norm_forward(x, dy, weight, 1e-6); });
  memory_bound("rms_norm backward", 4 * row,
               [&] { rms_norm_backward(dy, x, weight, norm.rstd_T, dy, dweight); });
  const at::Tensor gate_up = make(2 * hidden);
  memory_bound("swiglu forward", 3 * row, [&] { swiglu_forward(gate_up); });
  memory_bound("swiglu backward", 5 * row, [&] { swiglu_backward(dy, gate_up); });

  const QkvShape shape{8, 4, 128};
  const RopeTable table = rope_table(at::arange(tokens), 128, 1e6);
  const at::Tensor head_weight = at::ones({128}, dtype);
  at::Tensor dq_weight = at::zeros({128}), dk_weight = at::zeros({128});
  const QkNormRope qk =
      qk_norm_rope_forward(x, head_weight, head_weight, table, shape, 1e-6);
  memory_bound("qk_norm_rope forward", 1.5 * row, [&] {
    qk_norm_rope_forward(x, head_weight, head_weight, table, shape, 1e-6);
  });
  at::Tensor dqkv = at::empty_like(x);
  memory_bound("qk_norm_rope backward", 2.25 * row, [&] {
    qk_norm_rope_backward(qk.q_TND, qk.k_TKD, x, head_weight, head_weight, qk.rstd_TNK,
                          table, shape, dqkv, dq_weight, dk_weight);
  });
}

void bench_vocabulary(at::ScalarType dtype) {
  const int64_t tokens = 512, vocab = 151936;
  at::Tensor logits = at::randn({tokens, vocab}).to(dtype);
  const double size = static_cast<double>(logits.numel()) * logits.element_size();
  const at::Tensor targets = at::randint(0, vocab, {tokens}, at::kLong);
  const at::Tensor weight = at::ones({tokens}), lse = at::full({tokens}, 12.0f);
  memory_bound("cross_entropy statistics", size, [&] {
    cross_entropy_statistics(logits, targets, {0, vocab});
  });
  memory_bound("cross_entropy backward", 2 * size, [&] {
    cross_entropy_backward_(logits, lse, targets, weight, {0, vocab});
  });
  const int64_t rows = 16384, hidden = 1024;
  const at::Tensor table = at::randn({rows, hidden}).to(dtype);
  const at::Tensor ids = at::randperm(rows, at::kLong);
  at::Tensor grad = at::zeros({rows, hidden});
  const double moved = static_cast<double>(table.numel()) * table.element_size();
  memory_bound("embedding forward", 2 * moved, [&] { embedding_forward(table, ids, 0); });
  memory_bound("embedding backward", moved + 8.0 * static_cast<double>(table.numel()),
               [&] { embedding_backward(grad, table, ids, 0); });
}

void bench_optimizer() {
  const int64_t count = 1 << 24;
  const SegmentTable segments({{0, 0, count, true}}, at::kCPU);
  const at::Tensor grads = at::randn({count}), totals = at::ones({2}, at::kDouble);
  at::Tensor updates = at::zeros({1}, at::kLong);
  const at::Tensor scalars =
      adamw_scalars({1e-3, 0.9, 0.95, 1e-8, 0.1, 0.0}, totals, updates);
  const double elements = static_cast<double>(count);
  const auto make = [&] { return at::zeros({count}); };
  AdamWState wide{{}, make(), make()}, narrow{make(), make(), make()};
  at::Tensor weights = make(), rounded = at::zeros({count}, at::kBFloat16);
  memory_bound("adamw, fp32 weight", 28 * elements,
               [&] { adamw_update(scalars, wide, grads, weights, segments); });
  memory_bound("adamw, bf16 weight", 30 * elements,
               [&] { adamw_update(scalars, narrow, grads, rounded, segments); });
  memory_bound("sum_of_squares", 4 * elements, [&] { sum_of_squares(grads, segments); });
}

double bench_linear(int64_t tokens, int64_t in, int64_t out, at::ScalarType dtype) {
  const at::Tensor x = at::randn({tokens, in}).to(dtype),
                   dy = at::randn({tokens, out}).to(dtype);
  const at::Tensor weight = at::randn({out, in}).to(dtype);
  at::Tensor y = at::empty({tokens, out}, dtype), grad = at::zeros({out, in});
  const double operations = 2.0 * static_cast<double>(tokens * in * out);
  const std::string name = "linear " + std::to_string(tokens) + "x" + std::to_string(in) +
                           "x" + std::to_string(out);
  return compute_bound(name, operations, [&] { linear_forward_out(y, x, weight); }) +
         compute_bound("  backward input", operations,
                       [&] { linear_backward_input(dy, weight); }) +
         compute_bound("  backward weight", operations,
                       [&] { linear_backward_weight(grad, dy, x, Accumulate::kAdd); });
}

double bench_attention(const Documents& documents, const QkvShape& s,
                       at::ScalarType dtype) {
  const int64_t tokens = documents.offsets.back();
  const auto make = [&](int64_t heads) {
    return at::randn({tokens, heads, s.head_dim}).to(dtype);
  };
  const at::Tensor q = make(s.query_heads), dout = make(s.query_heads);
  const at::Tensor k = make(s.kv_heads), v = make(s.kv_heads);
  const AttentionOptions options{1.0 / std::sqrt(static_cast<double>(s.head_dim)),
                                 AttentionBackend::kAuto, false};
  double pairs = 0;
  for (size_t d = 1; d < documents.offsets.size(); ++d) {
    const auto length =
        static_cast<double>(documents.offsets[d] - documents.offsets[d - 1]);
    pairs += length * (length + 1) / 2;
  }
  const double operations = 4 * pairs * static_cast<double>(s.query_heads * s.head_dim);
  const Attention out = attention_forward(q, k, v, documents, options);
  AttentionGrad grad{at::empty_like(q), at::empty_like(k), at::empty_like(v)};
  const std::string name = std::to_string(documents.offsets.size() - 1) + " docs of " +
                           std::to_string(documents.longest()) + ", D " +
                           std::to_string(s.head_dim);
  return compute_bound("attention " + name, operations,
                       [&] { attention_forward(q, k, v, documents, options); }) +
         compute_bound("  backward", 2.5 * operations, [&] {
           attention_backward(dout, q, k, v, out, documents, options, grad);
         });
}

}  // namespace

int main() {
  // Keep freed memory: what is timed are the loops, not the kernel handing out fresh
  // pages.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  at::set_num_threads(1);
  bench_copy();
  for (at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    std::printf("%s\n", c10::toString(dtype));
    bench_rows(dtype);
    bench_vocabulary(dtype);
    bench_linear(2048, 1024, 3072, dtype);
    bench_linear(256, 64, 320, dtype);
    bench_attention({{0, 4096}}, {4, 2, 128}, dtype);
    bench_attention({{0, 32, 64, 96, 128, 160, 192, 224, 256}}, {4, 2, 32}, dtype);
  }
  bench_optimizer();
  return 0;
}
