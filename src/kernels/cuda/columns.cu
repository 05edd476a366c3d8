// Owns the second half of gradients that are summed over rows: the partial sums of thread
// blocks become one row. Called by norm.cu and rope.cu.
#include "tools.cuh"

namespace mtrain::kernels::cuda {
namespace {

__global__ void __launch_bounds__(kWarp* kWarp)
    sum_rows(ColumnSum first, ColumnSum second, int64_t columns) {
  __shared__ float sums[kWarp][kWarp + 1];
  const ColumnSum job = blockIdx.y == 0 ? first : second;
  const int64_t column = int64_t{blockIdx.x} * kWarp + threadIdx.x;
  float sum = 0;
  if (column < columns) {
#pragma unroll 8
    for (int64_t row = threadIdx.y; row < job.rows; row += kWarp)
      sum += job.partial[row * columns + column];
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  // Turned over: a warp now holds the parts of one column.
  sum = over_lanes<kWarp>(sums[threadIdx.x][threadIdx.y], Add{});
  const int64_t mine = int64_t{blockIdx.x} * kWarp + threadIdx.y;
  if (threadIdx.x == 0 && mine < columns && job.rows > 0) job.out[mine] += sum;
}

}  // namespace

void add_columns(ColumnSum first, ColumnSum second, int64_t columns) {
  const dim3 grid(divided_up(columns, kWarp), second.rows > 0 ? 2 : 1);
  sum_rows<<<grid, dim3(kWarp, kWarp), 0, stream()>>>(first, second, columns);
  check_launch("sum of partial rows");
}

}  // namespace mtrain::kernels::cuda
