// Owns the call of the driver that describes a tensor. Used by cuda/grouped_product.cu.
#include "tensor_map.hpp"

#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>

#include <array>

#include "mtrain/base/error.hpp"

namespace mtrain::kernels::cuda {
namespace {

/// By address, because the driver's library is not there where the program is linked.
PFN_cuTensorMapEncodeTiled_v12000 encoder() {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  const cudaError_t error = cudaGetDriverEntryPointByVersion(
      "cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result);
  MT_CHECK(error == cudaSuccess && result == cudaDriverEntryPointSuccess,
           "the driver has no cuTensorMapEncodeTiled");
  return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(found);
}

}  // namespace

CUtensorMap tensor_map(const at::Tensor& x, std::initializer_list<uint32_t> box) {
  static const auto encode = encoder();
  const auto dims = static_cast<size_t>(x.dim());
  MT_CHECK(x.is_contiguous() && box.size() == dims && dims <= 3,
           "tensor map: ", x.sizes());
  const auto element = static_cast<cuuint64_t>(x.element_size());
  std::array<cuuint64_t, 3> sizes{}, strides{};
  for (size_t i = 0; i < dims; ++i) {
    const auto dim = static_cast<int64_t>(dims - 1 - i);
    sizes[i] = static_cast<cuuint64_t>(x.size(dim));
    if (i > 0) strides[i - 1] = static_cast<cuuint64_t>(x.stride(dim)) * element;
  }
  constexpr std::array<cuuint32_t, 3> kDense{1, 1, 1};
  CUtensorMap map;
  const CUresult error =
      encode(&map,
             x.scalar_type() == at::kFloat ? CU_TENSOR_MAP_DATA_TYPE_FLOAT32
                                           : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
             static_cast<cuuint32_t>(dims), x.mutable_data_ptr(), sizes.data(),
             strides.data(), box.begin(), kDense.data(), CU_TENSOR_MAP_INTERLEAVE_NONE,
             CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  MT_CHECK(error == CUDA_SUCCESS, "tensor map of ", x.sizes(), ": driver error ",
           static_cast<int>(error));
  return map;
}

}  // namespace mtrain::kernels::cuda
