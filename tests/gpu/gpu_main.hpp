// Main function of test programs that need a GPU; without one they say so and pass.
// Include in exactly one file of the program, after defining BOOST_TEST_MODULE.
#pragma once

#define BOOST_TEST_NO_MAIN
#define BOOST_TEST_ALTERNATIVE_INIT_API
#include <ATen/Context.h>

#include <boost/test/unit_test.hpp>
#include <cstdio>

int main(int argc, char** argv) {
  if (!at::hasCUDA()) {
    std::puts("skipped: no GPU");
    return 0;
  }
  at::globalContext().setAllowBF16ReductionCuBLAS(false);  // as the trainer
  return boost::unit_test::unit_test_main(&init_unit_test, argc, argv);
}
