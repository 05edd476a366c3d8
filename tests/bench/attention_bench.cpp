// Times attention on a GPU: one JSON line for each packing, head count and backend, with
// rates, the host's time per call, and what the first call costs (the plan).
#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "mtrain/kernels/attention.hpp"

namespace {

using namespace mtrain::kernels;

struct Packing {
  std::string name;
  std::vector<int64_t> lengths;
};

struct Heads {
  int64_t query, kv, dim;
};

struct Timing {
  double milliseconds;  ///< on the device, median
  double host_us;       ///< until the call returns, mean of calls that follow each other
  double first_ms;      ///< of the first call, until the device is done
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <class F>
double device_ms(const F& f) {
  at::cuda::CUDAEvent begin(cudaEventDefault), end(cudaEventDefault);
  begin.record();
  f();
  end.record();
  end.synchronize();
  return begin.elapsed_time(end);
}

template <class F>
Timing measure(const F& f) {
  constexpr int kWarmUps = 5, kCalls = 20;
  const auto synchronize = [] { at::cuda::getCurrentCUDAStream().synchronize(); };
  const auto first = std::chrono::steady_clock::now();
  f();
  synchronize();
  const double first_ms = 1e3 * seconds_since(first);
  for (int i = 0; i < kWarmUps; ++i) f();
  synchronize();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kCalls; ++i) f();
  const double host_us = 1e6 * seconds_since(start) / kCalls;
  synchronize();
  std::vector<double> times(kCalls);
  for (double& time : times) time = device_ms(f);
  std::nth_element(times.begin(), times.begin() + kCalls / 2, times.end());
  return {times[kCalls / 2], host_us, first_ms};
}

Documents documents_of(const std::vector<int64_t>& lengths) {
  std::vector<int64_t> offsets{0};
  for (int64_t length : lengths) offsets.push_back(offsets.back() + length);
  const at::Tensor device =
      at::tensor(offsets, at::TensorOptions(at::kInt)).to(at::kCUDA);
  return {std::move(offsets), device};
}

/// 2 products x 2 operations for each pair a causal mask leaves (half of them).
double forward_operations(const Packing& packing, const Heads& heads) {
  double pairs = 0;
  for (int64_t length : packing.lengths)
    pairs += static_cast<double>(length) * static_cast<double>(length) / 2;
  return 4 * pairs * static_cast<double>(heads.query * heads.dim);
}

void report(const Packing& packing, const Heads& heads, const AttentionOptions& options,
            const Timing& forward, const Timing& backward) {
  const double operations = forward_operations(packing, heads);
  std::printf(
      "{\"case\": \"%s\", \"heads\": \"%ld/%ld\", \"backend\": \"%s\", "
      "\"deterministic\": %s, \"forward_tflops\": %.0f, \"backward_tflops\": %.0f, "
      "\"forward_ms\": %.3f, \"backward_ms\": %.3f, \"forward_host_us\": %.1f, "
      "\"backward_host_us\": %.1f, \"first_forward_ms\": %.0f, \"first_backward_ms\": "
      "%.0f, \"device\": \"%s\"}\n",
      packing.name.c_str(), static_cast<long>(heads.query), static_cast<long>(heads.kv),
      to_string(options.backend).c_str(), options.deterministic ? "true" : "false",
      operations / forward.milliseconds / 1e9,
      2.5 * operations / backward.milliseconds / 1e9, forward.milliseconds,
      backward.milliseconds, forward.host_us, backward.host_us, forward.first_ms,
      backward.first_ms, at::cuda::getCurrentDeviceProperties()->name);
  std::fflush(stdout);
}

/// v and dv are views into rows as wide as a layer's fused q, k and v.
void bench(const Packing& packing, const Heads& heads, AttentionBackend backend,
           bool deterministic) {
  const Documents documents = documents_of(packing.lengths);
  const int64_t tokens = documents.offsets.back(),
                width = (heads.query + 2 * heads.kv) * heads.dim;
  const at::TensorOptions bf16 = at::TensorOptions(at::kCUDA).dtype(at::kBFloat16);
  const auto make = [&](int64_t count) {
    return at::randn({tokens, count, heads.dim}, bf16);
  };
  const at::Tensor q = make(heads.query), k = make(heads.kv), dout = make(heads.query);
  const at::Tensor row = at::randn({tokens, width}, bf16), drow = at::empty_like(row);
  const auto tail = [&](const at::Tensor& of) {
    return of.narrow(1, width - heads.kv * heads.dim, heads.kv * heads.dim)
        .view({tokens, heads.kv, heads.dim});
  };
  const at::Tensor v = tail(row);
  AttentionGrad grad{at::empty_like(q), at::empty_like(k), tail(drow)};
  const AttentionOptions options{1.0 / std::sqrt(static_cast<double>(heads.dim)), backend,
                                 deterministic};
  Attention out;
  const Timing forward =
      measure([&] { out = attention_forward(q, k, v, documents, options); });
  const Timing backward =
      measure([&] { attention_backward(dout, q, k, v, out, documents, options, grad); });
  report(packing, heads, options, forward, backward);
}

/// Goes on with the next case when a backend cannot.
void try_bench(const Packing& packing, const Heads& heads, AttentionBackend backend,
               bool deterministic) {
  try {
    bench(packing, heads, backend, deterministic);
  } catch (const std::exception& error) {
    std::printf("{\"case\": \"%s\", \"backend\": \"%s\", \"failed\": true}\n",
                packing.name.c_str(), to_string(backend).c_str());
    std::fprintf(stderr, "%s\n", error.what());
  }
}

std::vector<Packing> packings() {
  const std::vector<int64_t> long_ones(4, 4096);
  std::vector<int64_t> with_empty = long_ones;
  with_empty.push_back(0);  // lengths differ: the plan for packed documents
  return {{"4 x 4096", long_ones},
          {"4 x 4096, packed", with_empty},
          {"1 x 4096", {4096}},
          {"8 uneven", {4096, 700, 3000, 1200, 2500, 388, 3500, 1000}},
          {"64 x 256", std::vector<int64_t>(64, 256)}};
}

}  // namespace

int main() {
  if (!at::hasCUDA()) {
    std::puts("skipped: no GPU");
    return 0;
  }
  for (const Heads& heads : {Heads{16, 8, 128}, Heads{32, 4, 128}})
    for (const Packing& packing : packings()) {
      try_bench(packing, heads, AttentionBackend::kCudnn, false);
      try_bench(packing, heads, AttentionBackend::kCudnn, true);
      try_bench(packing, heads, AttentionBackend::kFlash, false);
    }
  return 0;
}
