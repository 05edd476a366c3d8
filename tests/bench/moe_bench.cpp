// Times a mixture-of-experts layer on a GPU, router to weighted sum, forward and
// backward, beside its grouped products alone: one JSON line each, with TFLOP/s of those
// products. Natural routing of a random router over random tokens.
#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "mtrain/comm/session.hpp"
#include "mtrain/kernels/experts.hpp"
#include "mtrain/nn/moe.hpp"

namespace {

using namespace mtrain;

/// Qwen3-30B-A3B.
constexpr int64_t kHidden = 2048, kFfn = 768, kExperts = 128, kChoices = 8;

at::TensorOptions gpu(at::ScalarType dtype) {
  return at::device(at::kCUDA).dtype(dtype);
}

at::Tensor random(at::IntArrayRef sizes, double scale = 1) {
  return at::randn(sizes, gpu(at::kBFloat16)) * scale;
}

/// Median milliseconds of a call.
template <class F>
double measure(const F& f) {
  constexpr int kWarmUps = 5, kCalls = 20;
  std::vector<double> times;
  for (int i = -kWarmUps; i < kCalls; ++i) {
    at::cuda::CUDAEvent begin(cudaEventDefault), end(cudaEventDefault);
    begin.record();
    f();
    end.record();
    end.synchronize();
    if (i >= 0) times.push_back(begin.elapsed_time(end));
  }
  std::nth_element(times.begin(), times.begin() + kCalls / 2, times.end());
  return times[kCalls / 2];
}

void report(const std::string& what, int64_t tokens, double operations, double ms) {
  std::printf(
      "{\"case\": \"%s\", \"tokens\": %ld, \"ms\": %.3f, \"tflops\": %.0f, \"device\": "
      "\"%s\"}\n",
      what.c_str(), static_cast<long>(tokens), ms, operations / ms / 1e9,
      at::cuda::getCurrentDeviceProperties()->name);
  std::fflush(stdout);
}

struct Weights {
  Weights() {
    fill(router, random({kExperts, kHidden}, 0.02));
    fill(gate_up, random({kExperts, 2 * kFfn, kHidden}, 0.02));
    fill(down, random({kExperts, kHidden, kFfn}, 0.02));
  }
  static void fill(parallel::Parameter& p, const at::Tensor& weight) {
    p.weight = weight;
    p.grad = at::zeros(weight.sizes(), gpu(at::kFloat));
  }
  parallel::Parameter router, gate_up, down;
};

/// Rows of each expert as the layer's router spreads them.
at::Tensor ends_of(const at::Tensor& x, const Weights& w) {
  const auto routing = kernels::router_forward(
      kernels::linear_forward_fp32(x, w.router.weight), {kChoices, true});
  return routing.counts_E.cumsum(0, at::kInt);
}

void bench_products(const at::Tensor& x, Weights& w) {
  using kernels::Accumulate;
  const int64_t tokens = x.size(0), rows = tokens * kChoices;
  const at::Tensor ends = ends_of(x, w), in = random({rows, kHidden}),
                   inner = random({rows, 2 * kFfn}), mid = random({rows, kFfn});
  const double wide = 2.0 * static_cast<double>(rows * kHidden * 2 * kFfn);
  const auto run = [&](const char* what, double operations, const auto& f) {
    report(what, tokens, operations, measure(f));
  };
  const auto weight = [&](parallel::Parameter& p, const at::Tensor& dy,
                          const at::Tensor& input, Accumulate how) {
    kernels::grouped_linear_backward_weight(p.grad, dy, input, ends, how);
  };
  run("gate-up forward", wide,
      [&] { kernels::grouped_linear_forward(in, w.gate_up.weight, ends); });
  run("down forward", wide / 2,
      [&] { kernels::grouped_linear_forward(mid, w.down.weight, ends); });
  run("gate-up input", wide,
      [&] { kernels::grouped_linear_backward_input(inner, w.gate_up.weight, ends); });
  run("down input", wide / 2,
      [&] { kernels::grouped_linear_backward_input(in, w.down.weight, ends); });
  for (const auto how : {Accumulate::kOverwrite, Accumulate::kAdd}) {
    const std::string kind = how == Accumulate::kAdd ? " weight, added" : " weight";
    run(("gate-up" + kind).c_str(), wide, [&] { weight(w.gate_up, inner, in, how); });
    run(("down" + kind).c_str(), wide / 2, [&] { weight(w.down, in, mid, how); });
  }
}

void bench_layer(const at::Tensor& x, Weights& w, const comm::Session& session) {
  const auto alone = session.make_group("alone", {0}, comm::Backend::kMpi);
  const nn::TensorRegion region(*alone, false);
  Turns turns;
  const auto dispatcher =
      nn::make_dispatcher(nn::DispatcherKind::kAllToAll, *alone, kExperts, turns);
  const nn::Moe layer(
      {w.router, w.gate_up, w.down}, {{kChoices, true}, {}, at::kFloat, 1e-3, 0},
      {region, *dispatcher, nullptr, false},
      at::zeros({nn::RouterFigures::kTokens + kExperts}, gpu(at::kDouble)));
  nn::MicroBatch batch;
  batch.routed_tokens = x.size(0);
  const at::Tensor dy = random(x.sizes());
  const double operations =
      6.0 * static_cast<double>(x.size(0) * kChoices * 3 * kFfn * kHidden);
  nn::Moe::Saved saved;
  report("layer forward", x.size(0), operations / 3,
         measure([&] { layer.forward(x, batch, saved); }));
  for (const bool stale : {true, false}) {
    const double ms = measure([&] {
      for (auto* p : {&w.router, &w.gate_up, &w.down}) p->grad_is_stale = stale;
      layer.forward(x, batch, saved);
      layer.backward(dy, x, batch, saved);
    });
    report(stale ? "layer" : "layer, gradients added", x.size(0), operations, ms);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const comm::Session session(&argc, &argv);
    at::manual_seed(1);
    Weights weights;
    for (const int64_t tokens : {16384, 4096}) {
      const at::Tensor x = random({tokens, kHidden});
      bench_products(x, weights);
      bench_layer(x, weights, session);
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "moe_bench: %s\n", error.what());
    return 1;
  }
}
