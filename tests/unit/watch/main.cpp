// The test program of the watch layer.
#define BOOST_TEST_MODULE watch
#include <boost/test/unit_test.hpp>
