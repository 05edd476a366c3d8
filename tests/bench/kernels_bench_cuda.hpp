// The GPU half of kernels_bench.
#pragma once

/// Times every operator but attention and the matrix products on the current GPU; prints
/// one JSON line per case.
void bench_on_gpu();
