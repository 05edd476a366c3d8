// Main function of test programs that run under mpirun: one session, every rank runs all
// cases. Include in exactly one file of the program, after defining BOOST_TEST_MODULE.
#pragma once

#define BOOST_TEST_NO_MAIN
#define BOOST_TEST_ALTERNATIVE_INIT_API
#include <boost/test/unit_test.hpp>

#include "mtrain/comm/session.hpp"
#include "support/session.hpp"

namespace mtrain::test {
namespace {
const comm::Session* g_session = nullptr;
}
const comm::Session& session() {
  return *g_session;
}
}  // namespace mtrain::test

int main(int argc, char** argv) {
  const mtrain::comm::Session session(&argc, &argv);
  mtrain::test::g_session = &session;
  const int failed = boost::unit_test::unit_test_main(&init_unit_test, argc, argv);
  // A rank that fails alone must not leave the others in a collective.
  if (failed != 0) session.abort(failed);
  return failed;
}
