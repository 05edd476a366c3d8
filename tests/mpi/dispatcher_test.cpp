// Dispatchers over real ranks: every row reaches its expert and comes back, whatever the
// sizes; ranks without tokens and experts without rows among them.
#include "mtrain/nn/dispatcher.hpp"

#include <ATen/ATen.h>

#include <boost/test/unit_test.hpp>

#include "mtrain/comm/session.hpp"
#include "support/session.hpp"

using namespace mtrain;
using namespace mtrain::nn;

namespace {

constexpr int64_t kChoices = 2, kHidden = 5;

/// K different experts of `experts` for each token; some experts get none.
at::Tensor some_experts(int64_t tokens, int64_t experts, int rank) {
  const at::Tensor first = at::arange(tokens, at::kInt).mul(3).add(rank) % (experts / 2);
  return at::stack({first, first + static_cast<int>(experts / 2)}, 1).to(at::kInt);
}

/// Each rank's experts multiply their rows by their number in the model, plus 1.
void check(const Dispatcher& dispatcher, const comm::Communicator& group, int64_t tokens,
           int64_t experts) {
  const int64_t mine = experts / group.size();
  at::manual_seed(group.rank());
  const at::Tensor x = at::randn({tokens, kHidden});
  const at::Tensor chosen = some_experts(tokens, experts, group.rank());
  const auto plan = dispatcher.plan(chosen, kernels::Pairs::kAll);
  at::Tensor rows = dispatcher.dispatch(x, plan);
  BOOST_TEST(plan.ends_E.size(0) == mine);
  BOOST_TEST(plan.ends_E[mine - 1].item<int64_t>() == rows.size(0));
  int64_t begin = 0;
  for (int64_t e = 0; e < mine; ++e) {
    const int64_t end = plan.ends_E[e].item<int64_t>();
    rows.narrow(0, begin, end - begin).mul_(group.rank() * mine + e + 1);
    begin = end;
  }
  const at::Tensor factor = (chosen + 1).sum(1, true);
  BOOST_TEST(at::allclose(dispatcher.combine(rows, plan), x * factor));
  const at::Tensor weights = at::randn({tokens, kChoices});
  const at::Tensor sent = dispatcher.dispatch_weights(weights, plan);
  BOOST_TEST(sent.numel() == rows.size(0));
  BOOST_TEST(at::equal(dispatcher.combine_weights(sent, plan), weights));
}

/// Some pairs go nowhere: their tokens get less, their weights come back as zero.
void check_dropped(const Dispatcher& dispatcher, const comm::Communicator& group,
                   int64_t tokens, int64_t every) {
  at::manual_seed(group.rank());
  const at::Tensor x = at::randn({tokens, kHidden});
  const at::Tensor all = some_experts(tokens, 8, group.rank());
  const at::Tensor gone =
      at::arange(tokens * kChoices).remainder(every).eq(0).view({tokens, kChoices});
  const auto plan =
      dispatcher.plan(all.masked_fill(gone, -1), kernels::Pairs::kOfHeldExperts);
  const at::Tensor rows = dispatcher.dispatch(x, plan);
  const at::Tensor kept = gone.logical_not();
  BOOST_TEST(at::allclose(dispatcher.combine(rows, plan), x * kept.sum(1, true)));
  const at::Tensor weights = at::randn({tokens, kChoices});
  const at::Tensor sent = dispatcher.dispatch_weights(weights, plan);
  BOOST_TEST(at::equal(dispatcher.combine_weights(sent, plan), weights * kept));
}

}  // namespace

BOOST_AUTO_TEST_CASE(rows_reach_their_experts_and_come_back) {
  const auto& session = test::session();
  const auto group = session.make_group("experts", test::everyone(), comm::Backend::kMpi);
  for (const auto kind : {DispatcherKind::kAllToAll, DispatcherKind::kAllGather}) {
    Turns turns;
    const auto dispatcher = make_dispatcher(kind, *group, 8, turns);
    check(*dispatcher, *group, 0, 8);
    check(*dispatcher, *group, 17, 8);
    check(*dispatcher, *group, 7 * group->rank(), 8);           // none on the first rank
    check(*dispatcher, *group, group->rank() == 0 ? 1 : 0, 8);  // on the first one only
    check_dropped(*dispatcher, *group, 17, 3);
    check_dropped(*dispatcher, *group, 6 * group->rank(), 1);  // no row anywhere
  }
}

// The exchanges of two passes in turns: all ranks start them in the same order.
BOOST_AUTO_TEST_CASE(two_passes_in_turns) {
  const auto& session = test::session();
  const auto group = session.make_group("experts", test::everyone(), comm::Backend::kMpi);
  for (const auto kind : {DispatcherKind::kAllToAll, DispatcherKind::kAllGather}) {
    Turns turns;
    const auto dispatcher = make_dispatcher(kind, *group, 8, turns);
    turns.run([&] { check(*dispatcher, *group, 17, 8); },
              [&] {
                check(*dispatcher, *group, 5 * group->rank(), 8);
                check(*dispatcher, *group, 9, 8);
              });
    if (group->size() == 1) continue;
    // An error on every rank, as an exchange that fails would be, leaves the group
    // usable.
    BOOST_CHECK_THROW(turns.run([&] { check(*dispatcher, *group, 17, 8); },
                                [&] {
                                  turns.hand_over();
                                  throw std::runtime_error("lost");
                                }),
                      std::runtime_error);
    check(*dispatcher, *group, 4, 8);
  }
}
