// The program of the unit tests of the train layer.
#define BOOST_TEST_MODULE train
#include <boost/test/unit_test.hpp>
