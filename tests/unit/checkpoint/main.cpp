// The program of all unit tests of the checkpoint layer.
#define BOOST_TEST_MODULE checkpoint
#include <boost/test/unit_test.hpp>
