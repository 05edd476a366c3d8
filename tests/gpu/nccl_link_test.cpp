// What one NCCL communicator does when others fail it: errors that say what was awaited,
// and an end that does not hang.
#define BOOST_TEST_MODULE nccl_link
#include "support/mpi_main.hpp"
//
#include <ATen/ATen.h>

#include "comm/nccl_link.hpp"
#include "mtrain/base/error.hpp"

using namespace mtrain;
using comm::NcclEnds;
using comm::NcclLink;
using test::on_device;
using test::session;

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{2};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// An id made by rank 0, known to both.
ncclUniqueId shared_id() {
  ncclUniqueId id{};
  if (session().rank() == 0) BOOST_REQUIRE(ncclGetUniqueId(&id) == ncclSuccess);
  const std::string text = session().broadcast_text({id.internal, sizeof id.internal});
  std::copy(text.begin(), text.end(), id.internal);
  return id;
}

/// The GPU still does what it is told.
bool gpu_works() {
  return at::ones({1000}, on_device(at::kFloat)).sum().item<float>() == 1000;
}

}  // namespace

// One rank of two connects: the other never comes.
BOOST_AUTO_TEST_CASE(a_rank_that_never_connects_is_named_as_awaited) {
  if (session().rank() != 0) return;
  ncclUniqueId id{};
  BOOST_REQUIRE(ncclGetUniqueId(&id) == ncclSuccess);
  const auto start = Clock::now();
  {
    NcclLink link("tensor", {id, 0, 2, 0, kPatience});
    const auto named = [](const Error& error) {
      const std::string what = error.what();
      BOOST_TEST_MESSAGE(what);
      return what.find("connection in group tensor: waited 2 s for all its ranks") !=
             what.npos;
    };
    BOOST_CHECK_EXCEPTION(link.connect(), Error, named);
    BOOST_TEST(link.failed());
  }
  BOOST_TEST_MESSAGE("connecting in vain and aborting took " << seconds_since(start));
  BOOST_TEST(seconds_since(start) < 20);
  BOOST_TEST(gpu_works());
}

BOOST_AUTO_TEST_CASE(an_operation_that_never_ends_is_aborted_at_the_end) {
  if (session().world_size() != 2) return;
  const auto id = shared_id();
  const auto start = Clock::now();
  {
    NcclLink link("pair", {id, session().rank(), 2, 0, kPatience});
    link.connect();
    const at::Tensor x = at::ones({1 << 20}, on_device(at::kFloat));
    const auto count = static_cast<size_t>(x.numel());
    const auto sum = [&](ncclComm_t comm, cudaStream_t stream) {
      return ncclAllReduce(x.data_ptr(), x.data_ptr(), count, ncclFloat, ncclSum, comm,
                           stream);
    };
    link.run("all-reduce", {x}, sum);
    BOOST_TEST(at::equal(x, at::full_like(x, 2)));
    session().barrier();
    if (session().rank() == 0) {
      // Rank 1 never takes part in this one.
      const auto named = [](const Error& error) {
        const std::string what = error.what();
        BOOST_TEST_MESSAGE(what);
        return what.find("lonely sum in group pair: waited 2 s") != what.npos;
      };
      BOOST_CHECK_EXCEPTION(link.run("lonely sum", {x}, sum), Error, named);
    }
  }
  BOOST_TEST_MESSAGE("rank " << session().rank() << ": the end came after "
                             << seconds_since(start));
  BOOST_TEST(seconds_since(start) < 30);
  BOOST_TEST(gpu_works());
  session().barrier();
}

BOOST_AUTO_TEST_CASE(an_exception_ends_a_link_without_its_peer) {
  if (session().world_size() != 2) return;
  const auto id = shared_id();
  const auto start = Clock::now();
  const auto fails = [&] {
    NcclLink link("pair", {id, session().rank(), 2, 0, kPatience});
    link.connect();
    const at::Tensor x = at::ones({1 << 20}, on_device(at::kFloat));
    const auto sum = [&](ncclComm_t comm, cudaStream_t stream) {
      return ncclAllReduce(x.data_ptr(), x.data_ptr(), 1 << 20, ncclFloat, ncclSum, comm,
                           stream);
    };
    link.run("all-reduce", {x}, sum);
    // On its way when the exception comes; rank 1 never takes part in it.
    comm::Pending pending;
    if (session().rank() == 0) pending = link.start("lonely sum", {x}, sum);
    throw Error("something else");
  };
  BOOST_CHECK_THROW(fails(), Error);
  BOOST_TEST(seconds_since(start) < 20);
  BOOST_TEST(gpu_works());
  session().barrier();
}

BOOST_AUTO_TEST_CASE(an_argument_nccl_refuses_becomes_an_error) {
  if (session().rank() != 0) return;
  ncclUniqueId id{};
  BOOST_REQUIRE(ncclGetUniqueId(&id) == ncclSuccess);
  NcclLink link("alone", {id, 0, 1, 0, kPatience});
  link.connect();
  const at::Tensor x = at::ones({8}, on_device(at::kFloat));
  const auto to_nobody = [&](ncclComm_t comm, cudaStream_t stream) {
    return ncclBroadcast(x.data_ptr(), x.data_ptr(), 8, ncclFloat, 7, comm, stream);
  };
  const auto named = [](const Error& error) {
    const std::string what = error.what();
    BOOST_TEST_MESSAGE(what);
    return what.find("broadcast from rank 7 in group alone failed") != what.npos;
  };
  BOOST_CHECK_EXCEPTION(link.start("broadcast from rank 7", {x}, to_nobody), Error,
                        named);
}
