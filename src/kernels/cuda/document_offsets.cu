// Owns the small kernel that turns document offsets into the offsets and lengths that
// cuDNN reads. Called by cudnn_attention.cpp and flash_attention.cpp.
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>

#include "document_offsets.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::kernels::cuda {
namespace {

constexpr int kMaxRows = 8;

struct Rows {
  int64_t width[kMaxRows];
  int count;
  int64_t stride;  ///< from one row of starts to the next
};

/// One thread per batch entry, and one for the end.
__global__ void offsets_kernel(const int32_t* __restrict__ offsets, int documents,
                               int batch, Rows rows, int32_t* __restrict__ lengths,
                               int64_t* __restrict__ starts) {
  const int entry = blockIdx.x * blockDim.x + threadIdx.x;
  if (entry > batch) return;
  const int64_t begin = offsets[min(entry, documents)];
  if (entry < batch)
    lengths[entry] = offsets[min(entry + 1, documents)] - static_cast<int32_t>(begin);
  for (int r = 0; r < rows.count; ++r)
    starts[r * rows.stride + entry] = begin * rows.width[r];
}

}  // namespace

at::Tensor device_offsets(const Documents& documents, at::Device device) {
  const at::Tensor& given = documents.offsets_on_device;
  if (!given.defined())
    return at::tensor(documents.offsets, at::TensorOptions().dtype(at::kInt)).to(device);
  MT_CHECK(given.device() == device && given.scalar_type() == at::kInt &&
               given.is_contiguous() && given.numel() == documents.count() + 1,
           "document offsets on ", given.device(), " with ", given.numel(),
           " entries for ", documents.count(), " documents");
  return given;
}

RaggedOffsets ragged_offsets(const at::Tensor& offsets, int64_t batch,
                             const std::vector<int64_t>& rows) {
  MT_CHECK(rows.size() <= kMaxRows, rows.size(), " rows");
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t stride = (batch + 2) / 2 * 2;
  const at::Tensor starts =
      at::empty({count, stride}, offsets.options().dtype(at::kLong));
  RaggedOffsets out{at::empty({batch}, offsets.options()),
                    starts.narrow(1, 0, batch + 1)};
  Rows widths{{}, static_cast<int>(count), stride};
  std::copy(rows.begin(), rows.end(), widths.width);
  constexpr int kThreads = 128;
  const int blocks = static_cast<int>(batch / kThreads + 1);
  offsets_kernel<<<blocks, kThreads, 0, c10::cuda::getCurrentCUDAStream()>>>(
      offsets.const_data_ptr<int32_t>(), static_cast<int>(offsets.numel() - 1),
      static_cast<int>(batch), widths, out.lengths_B.mutable_data_ptr<int32_t>(),
      out.starts_RB1.mutable_data_ptr<int64_t>());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}

}  // namespace mtrain::kernels::cuda
