// Main function of GPU test programs whose cases all come from tests/mpi.
#define BOOST_TEST_MODULE gpu
#include "support/mpi_main.hpp"
