// The groups of a rank grid on real ranks.
#include <ATen/ATen.h>

#include <boost/test/unit_test.hpp>
#include <numeric>

#include "mtrain/base/error.hpp"
#include "support/session.hpp"

using namespace mtrain;
using comm::Reduce;
using test::backend;
using test::on_device;
using test::session;

namespace {

int world() {
  return session().world_size();
}

int mine() {
  return session().rank();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(groups)

BOOST_AUTO_TEST_CASE(a_grid_has_one_group_per_axis) {
  if (world() == 1) return;
  const int pipeline = world() / 2;
  const comm::RankGrid grid({world(), 2, 1, 1, 1, pipeline});
  const auto groups = comm::make_groups(session(), grid, backend());
  const auto at = grid.coordinates(mine());
  BOOST_TEST(groups.world->rank() == mine());
  BOOST_TEST(groups.tensor->rank() == at.tensor);
  BOOST_TEST(groups.tensor->size() == 2);
  BOOST_TEST(groups.pipeline->rank() == at.pipeline);
  BOOST_TEST(groups.pipeline->size() == pipeline);
  BOOST_TEST(groups.data->size() == 1);
  BOOST_TEST(groups.embedding->size() == pipeline);
  at::Tensor total = at::full({1}, mine(), on_device(at::kLong));
  groups.tensor->all_reduce(total, Reduce::kSum);
  BOOST_TEST(total.item<int64_t>() == 2 * (mine() / 2 * 2) + 1);
}

BOOST_AUTO_TEST_CASE(stages_between_the_ends_have_no_embedding_partner) {
  const comm::RankGrid grid({world(), 1, 1, 1, 1, world()});
  const auto groups = comm::make_groups(session(), grid, backend());
  if (world() == 1) return;
  const bool end = mine() == 0 || mine() == world() - 1;
  BOOST_TEST(groups.embedding->size() == (end ? 2 : 1));
  at::Tensor total = at::full({1}, mine(), on_device(at::kLong));
  groups.embedding->all_reduce(total, Reduce::kSum);
  BOOST_TEST(total.item<int64_t>() == (end ? world() - 1 : mine()));
}

#ifndef MTRAIN_CUDA
BOOST_AUTO_TEST_CASE(a_program_without_cuda_refuses_nccl) {
  std::vector<int> ranks(static_cast<size_t>(world()));
  std::iota(ranks.begin(), ranks.end(), 0);
  BOOST_CHECK_THROW(session().make_group("everyone", ranks, comm::Backend::kNccl),
                    UserError);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
