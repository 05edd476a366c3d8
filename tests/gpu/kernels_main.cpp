// Owns the main function of kernels_gpu_test: the cases of tests/unit/kernels on a GPU.
#define BOOST_TEST_MODULE kernels_gpu
#include "gpu/gpu_main.hpp"
