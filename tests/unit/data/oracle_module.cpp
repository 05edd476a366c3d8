// The data layer against the reference's own outputs.
#define BOOST_TEST_MODULE data_oracle
#include <boost/test/unit_test.hpp>
