// Main function of test programs that run under mpirun: one session, every rank runs all
// cases. Include in exactly one file of the program, after defining BOOST_TEST_MODULE.
// `PROGRAM [Boost.Test options] -- cuda mpi|nccl` takes a GPU and a backend for it, or
// prints "skipped: " and why.
#pragma once

#define BOOST_TEST_NO_MAIN
#define BOOST_TEST_ALTERNATIVE_INIT_API
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdio>

#include "mtrain/comm/session.hpp"
#include "support/gpu.hpp"
#include "support/session.hpp"

namespace mtrain::test {
namespace {
const comm::Session* g_session = nullptr;
at::Device g_device = at::kCPU;
comm::Backend g_backend = comm::Backend::kMpi;

/// Takes the GPU that the arguments after "--" ask for. Returns why not, or nothing.
std::string choose_device(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return {};
  if (arguments[0] != "cuda" || arguments.size() != 2) return "usage: -- cuda mpi|nccl";
  if (arguments[1] == "nccl") g_backend = comm::Backend::kNccl;
  g_session->prepare_for_pipeline();
  const int gpu = gpu_of(*g_session);
  const std::string missing = what_is_missing(*g_session, gpu, g_backend);
  if (!missing.empty()) return missing;
  g_device = at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(gpu));
  return {};
}

std::vector<std::string> after_dashes(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  const auto dashes = std::find(words.begin(), words.end(), "--");
  return dashes == words.end() ? std::vector<std::string>()
                               : std::vector<std::string>(dashes + 1, words.end());
}
}  // namespace

const comm::Session& session() {
  return *g_session;
}
at::Device device() {
  return g_device;
}
comm::Backend backend() {
  return g_backend;
}
}  // namespace mtrain::test

int main(int argc, char** argv) {
  using namespace mtrain::test;
  const mtrain::comm::Session session(&argc, &argv);
  g_session = &session;
  const std::string skipped = choose_device(after_dashes(argc, argv));
  if (!skipped.empty()) {
    if (session.rank() == 0) std::printf("skipped: %s\n", skipped.c_str());
    return 0;
  }
  const int failed = boost::unit_test::unit_test_main(&init_unit_test, argc, argv);
  // A rank that fails alone must not leave the others in a collective.
  if (failed != 0) session.abort(failed);
  return failed;
}
