// Attention on a GPU, each backend, against autograd in fp64 on the CPU.
#define BOOST_TEST_MODULE attention_gpu
#include <c10/cuda/CUDAFunctions.h>

#include "gpu/gpu_main.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/kernels/attention.hpp"
#include "unit/kernels/attention_oracle.hpp"
#include "unit/kernels/oracle.hpp"

namespace mtrain::kernels {
namespace {

using namespace test;

const at::Device kGpu(at::kCUDA, 0);

struct Heads {
  int64_t query, kv, dim;
};

Documents on_gpu(std::vector<int64_t> offsets) {
  const at::Tensor device = at::tensor(offsets, at::TensorOptions(at::kInt)).to(kGpu);
  return {std::move(offsets), device};
}

std::vector<int64_t> equal_documents(int64_t count, int64_t length) {
  std::vector<int64_t> offsets{0};
  for (int64_t d = 0; d < count; ++d) offsets.push_back(offsets.back() + length);
  return offsets;
}

/// What a layer passes: v and dv are the tail of a wider row.
struct Problem {
  Problem(Documents packing, const Heads& heads, at::ScalarType dtype)
      : documents(std::move(packing)), kv(heads.kv), dim(heads.dim) {
    const int64_t tokens = documents.offsets.back();
    const auto make = [&](int64_t count) {
      return random({tokens, count, dim}, dtype).to(kGpu);
    };
    q = make(heads.query);
    k = make(kv);
    row = make(kv + 3).flatten(1);
    v = tail(row);
    dout = make(heads.query);
    drow = at::full_like(row, 7);
    grad = {at::full_like(q, NAN), at::full_like(k, NAN), tail(drow)};
  }

  at::Tensor tail(const at::Tensor& of) const {
    return of.narrow(1, 3 * dim, kv * dim).view({of.size(0), kv, dim});
  }

  AttentionOptions options(AttentionBackend backend, bool deterministic = false) const {
    return {1.0 / std::sqrt(static_cast<double>(dim)), backend, deterministic};
  }

  Attention run(const AttentionOptions& options) {
    Attention out = attention_forward(q, k, v, documents, options);
    attention_backward(dout, q, k, v, out, documents, options, grad);
    return out;
  }

  Documents documents;
  int64_t kv, dim;
  at::Tensor q, k, row, v, dout, drow;
  AttentionGrad grad;
};

struct Wanted {
  AttentionOracle out;
  at::Tensor dq, dk, dv;
};

Wanted wanted(const Problem& p) {
  const at::Tensor q = leaf(p.q.cpu()), k = leaf(p.k.cpu()), v = leaf(p.v.cpu());
  const double scale = p.options(AttentionBackend::kAuto).scale;
  const AttentionOracle out = attention_oracle(q, k, v, p.documents, scale);
  out.o_TND.backward(p.dout.cpu().to(at::kDouble));
  return {out, q.grad(), k.grad(), v.grad()};
}

void check(Problem& p, const Wanted& want, AttentionBackend backend) {
  BOOST_TEST_CONTEXT(to_string(backend)) {
    const Attention got = p.run(p.options(backend));
    const double depth =
        16 + std::sqrt(static_cast<double>(p.documents.longest() + p.dim));
    // The fused kernels round probabilities and gradients of scores to bf16, too.
    check_close(got.o_TND.cpu(), want.out.o_TND, 2, depth, "o");
    if (backend == AttentionBackend::kUnfused)
      check_close(got.lse_NT.cpu(), want.out.lse_NT, 2, depth, "lse");
    check_close(p.grad.dq_TND.cpu(), want.dq, 4, 4 * depth, "dq");
    check_close(p.grad.dk_TKD.cpu(), want.dk, 4, 4 * depth, "dk");
    check_close(p.grad.dv_TKD.cpu(), want.dv, 4, 4 * depth, "dv");
    const at::Tensor head = p.drow.narrow(1, 0, 3 * p.dim);
    BOOST_TEST(at::equal(head, at::full_like(head, 7)));
  }
}

void check_all(const std::vector<int64_t>& offsets, const Heads& heads) {
  BOOST_TEST_CONTEXT("T=" << offsets.back() << " documents " << offsets.size() - 1
                          << " N=" << heads.query << " K=" << heads.kv
                          << " D=" << heads.dim) {
    Problem narrow(on_gpu(offsets), heads, at::kBFloat16);
    const Wanted want = wanted(narrow);
    check(narrow, want, AttentionBackend::kCudnn);
    check(narrow, want, AttentionBackend::kFlash);
    check(narrow, want, AttentionBackend::kUnfused);
    check(narrow, want, AttentionBackend::kAuto);
    Problem wide(on_gpu(offsets), heads, at::kFloat);
    check(wide, wanted(wide), AttentionBackend::kUnfused);
  }
}

bool same(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const at::Tensor& x, const at::Tensor& y) { return x.equal(y); });
}

}  // namespace

BOOST_AUTO_TEST_CASE(few_tokens) {
  at::manual_seed(1);
  const std::vector<std::vector<int64_t>> packings{
      {0, 1},       {0, 7},          {0, 1, 2, 9, 9, 40},
      {0, 0, 0, 5}, {0, 16, 48, 80}, {0, 64, 129, 328}};
  for (const std::vector<int64_t>& offsets : packings)
    for (const Heads& heads : {Heads{4, 2, 128}, Heads{4, 4, 64}, Heads{6, 1, 24},
                               Heads{2, 1, 8}, Heads{16, 8, 128}, Heads{8, 1, 80}})
      check_all(offsets, heads);
}

BOOST_AUTO_TEST_CASE(equal_lengths) {
  at::manual_seed(2);
  check_all(equal_documents(4, 128), {4, 2, 128});
  check_all(equal_documents(3, 256), {4, 4, 64});
  check_all(equal_documents(1, 1024), {8, 2, 128});
  check_all(equal_documents(64, 256), {2, 1, 128});
}

BOOST_AUTO_TEST_CASE(long_documents) {
  at::manual_seed(3);
  check_all({0, 4096}, {2, 1, 128});
  check_all({0, 4096, 4096}, {2, 1, 128});
  check_all({0, 700, 708, 1500, 2500, 2501, 3000, 3300, 4000}, {4, 2, 128});
}

/// Packings that follow each other in training share a plan; each has its own lengths.
BOOST_AUTO_TEST_CASE(lengths_are_read_from_the_device) {
  at::manual_seed(4);
  for (const int64_t first : {100, 511, 30, 257})
    check_all({0, first, first + 300, 900}, {4, 2, 64});
}

BOOST_AUTO_TEST_CASE(deterministic_gradients_repeat) {
  at::manual_seed(5);
  for (const std::vector<int64_t>& offsets :
       {equal_documents(2, 1024), std::vector<int64_t>{0, 900, 1000, 2048}})
    for (AttentionBackend backend : {AttentionBackend::kCudnn, AttentionBackend::kFlash,
                                     AttentionBackend::kUnfused}) {
      Problem p(on_gpu(offsets), {16, 8, 128}, at::kBFloat16);
      const auto run = [&]() -> std::vector<at::Tensor> {
        const Attention out = p.run(p.options(backend, true));
        return {out.o_TND.clone(), p.grad.dq_TND.clone(), p.grad.dk_TKD.clone(),
                p.grad.dv_TKD.clone()};
      };
      const std::vector<at::Tensor> first = run();
      for (int repeat = 0; repeat < 10; ++repeat)
        BOOST_TEST(same(first, run()), to_string(backend));
      check(p, wanted(p), backend);
    }
}

BOOST_AUTO_TEST_CASE(neighbours_are_unseen) {
  at::manual_seed(6);
  for (AttentionBackend backend : {AttentionBackend::kCudnn, AttentionBackend::kFlash}) {
    Problem p(on_gpu({0, 30, 100}), {4, 2, 64}, at::kBFloat16);
    const AttentionOptions options = p.options(backend);
    const at::Tensor before =
        attention_forward(p.q, p.k, p.v, p.documents, options).o_TND;
    p.k[80].fill_(9);
    p.v[80].fill_(9);
    const at::Tensor after = attention_forward(p.q, p.k, p.v, p.documents, options).o_TND;
    BOOST_TEST(at::equal(before.narrow(0, 0, 80), after.narrow(0, 0, 80)));
    BOOST_TEST(!at::equal(before.narrow(0, 80, 1), after.narrow(0, 80, 1)));
  }
}

BOOST_AUTO_TEST_CASE(no_tokens) {
  for (AttentionBackend backend : {AttentionBackend::kCudnn, AttentionBackend::kFlash,
                                   AttentionBackend::kUnfused, AttentionBackend::kAuto}) {
    Problem p(on_gpu({0, 0}), {2, 1, 16}, at::kBFloat16);
    BOOST_TEST(p.run(p.options(backend)).o_TND.numel() == 0);
  }
}

BOOST_AUTO_TEST_CASE(fused_kernels_refuse_fp32) {
  for (AttentionBackend backend : {AttentionBackend::kCudnn, AttentionBackend::kFlash}) {
    Problem p(on_gpu({0, 30, 100}), {4, 2, 64}, at::kFloat);
    BOOST_CHECK_THROW(p.run(p.options(backend)), Error);
  }
}

BOOST_AUTO_TEST_CASE(the_host_does_not_wait) {
  at::manual_seed(7);
  for (const std::vector<int64_t>& offsets :
       {equal_documents(2, 256), std::vector<int64_t>{0, 200, 512}})
    for (AttentionBackend backend :
         {AttentionBackend::kCudnn, AttentionBackend::kFlash}) {
      Problem p(on_gpu(offsets), {4, 2, 128}, at::kBFloat16);
      p.run(p.options(backend));
      auto& state = c10::cuda::warning_state();
      state.set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR);
      BOOST_CHECK_NO_THROW(p.run(p.options(backend)));
      state.set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED);
    }
}

BOOST_AUTO_TEST_CASE(choice_of_backend) {
  const auto choose = [](AttentionBackend wanted, at::ScalarType dtype, int64_t dim) {
    return attention_backend(wanted, kGpu, dtype, dim);
  };
  using enum AttentionBackend;
  BOOST_TEST((choose(kAuto, at::kBFloat16, 128) == kCudnn));
  BOOST_TEST((choose(kCudnn, at::kBFloat16, 64) == kCudnn));
  BOOST_TEST((choose(kFlash, at::kBFloat16, 128) == kFlash));
  BOOST_TEST((choose(kAuto, at::kFloat, 128) == kUnfused));
  BOOST_TEST((choose(kAuto, at::kBFloat16, 256) == kUnfused));
  BOOST_CHECK_THROW(choose(kCudnn, at::kFloat, 128), UserError);
  BOOST_CHECK_THROW(choose(kFlash, at::kBFloat16, 20), UserError);
  BOOST_TEST_MESSAGE(describe_attention(kAuto, kGpu, at::kBFloat16, 128));
  BOOST_TEST_MESSAGE(describe_attention(kAuto, kGpu, at::kFloat, 128));
  BOOST_TEST(describe_attention(kAuto, kGpu, at::kBFloat16, 128).starts_with("cudnn 9."));
  BOOST_TEST(describe_attention(kUnfused, kGpu, at::kFloat, 8).starts_with("unfused"));
}

}  // namespace mtrain::kernels
