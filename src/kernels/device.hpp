// Chooses the loops of an operator by the device of its tensors. The one place of this
// layer that knows whether the program was built for GPUs.
#pragma once

#include "checks.hpp"
#include "cpu/ops.hpp"
#ifdef MTRAIN_CUDA
#include "cuda/ops.hpp"
#define MT_CUDA_LOOPS(name) cuda::name
#define MT_CUDA_OR(call, otherwise) cuda::call
#else
#define MT_CUDA_LOOPS(name) nullptr
/// cuda::call in a program built for GPUs, `otherwise` in one that is not.
#define MT_CUDA_OR(call, otherwise) otherwise
#endif

namespace mtrain::kernels {

/// `cpu` or `cuda`, whichever works on x; throws Error where there is none.
template <class F>
F* loops_for(const at::Tensor& x, const char* op, F* cpu, F* cuda) {
  if (x.is_cpu()) return cpu;
  if (x.is_cuda() && cuda != nullptr) return cuda;
  throw Error(cat(op, ": the tensor is on ", x.device(),
                  ", but this program was built without CUDA"),
              "build with CUDA (make BUILD=cuda), or run on the CPU");
}

/// MT_LOOPS(x, swiglu_forward)(x, y) calls cpu:: or cuda::swiglu_forward.
#define MT_LOOPS(x, name) \
  loops_for<decltype(cpu::name)>(x, #name, cpu::name, MT_CUDA_LOOPS(name))

}  // namespace mtrain::kernels
