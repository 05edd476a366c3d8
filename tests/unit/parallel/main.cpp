// The program of the unit tests of the parallel layer.
#define BOOST_TEST_MODULE parallel
#include <boost/test/unit_test.hpp>
