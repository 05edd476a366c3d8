// Sends and receives on real ranks: order, independence of channels, and no waiting for
// the peer.
#include <ATen/ATen.h>

#include <boost/test/unit_test.hpp>
#include <numeric>

#include "mtrain/base/error.hpp"
#include "support/session.hpp"

using namespace mtrain;
using comm::Pending;
using test::on_device;
using test::session;

namespace {

int world() {
  return session().world_size();
}

int mine() {
  return session().rank();
}

int next() {
  return (mine() + 1) % world();
}

int before() {
  return (mine() + world() - 1) % world();
}

std::unique_ptr<comm::Communicator> group_with(
    const std::vector<comm::Channel>& channels) {
  std::vector<int> ranks(static_cast<size_t>(world()));
  std::iota(ranks.begin(), ranks.end(), 0);
  return session().make_group("pipeline", ranks, test::backend(), channels);
}

/// What `sender` sends as its `index`-th message.
at::Tensor message(int sender, int index, int64_t count, at::ScalarType type) {
  return at::full({count}, sender * 20 + index, on_device(type));
}

at::Tensor empty_inbox(int64_t count, at::ScalarType type) {
  return at::full({count}, -9, on_device(type));
}

/// Small messages go at once, large ones wait for their receiver.
constexpr int64_t kCounts[] = {5, 1 << 20};

}  // namespace

BOOST_AUTO_TEST_SUITE(transfers)

// A ring, so that every rank sends and receives; the tags arrive out of step.
BOOST_AUTO_TEST_CASE(they_keep_their_order_per_tag) {
  if (world() == 1) return;
  std::vector<comm::Channel> ring;
  for (int r = 0; r < world(); ++r) {
    for (const int tag : {0, 1}) ring.push_back({r, (r + 1) % world(), tag});
  }
  const auto group = group_with(ring);
  for (const int64_t count : kCounts) {
    for (const auto type : {at::kFloat, at::kBFloat16, at::kLong}) {
      std::vector<Pending> sends, receives;
      sends.push_back(group->start_send(message(mine(), 0, count, type), next(), 0));
      sends.push_back(group->start_send(message(mine(), 1, count, type), next(), 1));
      sends.push_back(group->start_send(message(mine(), 2, count, type), next(), 0));
      std::vector<at::Tensor> inbox;
      for (const int tag : {1, 0, 0}) {
        inbox.push_back(empty_inbox(count, type));
        receives.push_back(group->start_receive(inbox.back(), before(), tag));
      }
      for (auto& pending : receives) pending->wait();
      for (auto& pending : sends) pending->wait();
      BOOST_TEST(at::equal(inbox[0], message(before(), 1, count, type)));
      BOOST_TEST(at::equal(inbox[1], message(before(), 0, count, type)));
      BOOST_TEST(at::equal(inbox[2], message(before(), 2, count, type)));
    }
  }
}

// What stages do that never wait for their sends: all of them send both ways, compute,
// and only then look at what came.
BOOST_AUTO_TEST_CASE(many_sends_both_ways_wait_for_no_receiver) {
  if (world() == 1) return;
  constexpr int kMessages = 8;
  const auto group = group_with(comm::pipeline_channels(world()));
  for (const int64_t count : kCounts) {
    std::vector<Pending> sends;
    for (int i = 0; i < kMessages; ++i) {
      const auto forward = message(mine(), i, count, at::kFloat);
      const auto back = message(mine(), 10 + i, count, at::kFloat);
      sends.push_back(group->start_send(forward, next(), 0));
      sends.push_back(group->start_send(back, before(), 1));
    }
    // No send blocks the current stream or the host: every rank gets here with no
    // receive posted anywhere.
    const at::Tensor ones = at::ones({64, 64}, on_device(at::kFloat));
    BOOST_TEST(at::mm(ones, ones)[0][0].item<float>() == 64);
    session().barrier();
    std::vector<at::Tensor> forwards, backs;
    std::vector<Pending> receives;
    for (int i = 0; i < kMessages; ++i) {
      backs.push_back(empty_inbox(count, at::kFloat));
      receives.push_back(group->start_receive(backs.back(), next(), 1));
      forwards.push_back(empty_inbox(count, at::kFloat));
      receives.push_back(group->start_receive(forwards.back(), before(), 0));
    }
    for (auto& pending : receives) pending->wait();
    for (int i = 0; i < kMessages; ++i) {
      const auto at = static_cast<size_t>(i);
      BOOST_TEST(at::equal(forwards[at], message(before(), i, count, at::kFloat)));
      BOOST_TEST(at::equal(backs[at], message(next(), 10 + i, count, at::kFloat)));
    }
    for (auto& pending : sends) comm::finish(pending);
  }
}

// Receives posted long before anything is sent hold up neither compute nor the other
// channels nor a collective.
BOOST_AUTO_TEST_CASE(early_receives_hold_up_nothing) {
  if (world() == 1) return;
  constexpr int64_t kCount = 1 << 16;
  const auto group = group_with(comm::pipeline_channels(world()));
  std::vector<at::Tensor> forwards;
  std::vector<Pending> receives, sends;
  for (int i = 0; i < 4; ++i) {
    forwards.push_back(empty_inbox(kCount, at::kFloat));
    receives.push_back(group->start_receive(forwards.back(), before(), 0));
  }
  session().barrier();
  at::Tensor sum = at::ones({kCount}, on_device(at::kFloat));
  group->all_reduce(sum, comm::Reduce::kSum);
  BOOST_TEST(sum.sum().item<double>() == static_cast<double>(kCount * world()));
  at::Tensor back = empty_inbox(kCount, at::kFloat);
  sends.push_back(group->start_send(message(mine(), 9, kCount, at::kFloat), before(), 1));
  group->start_receive(back, next(), 1)->wait();
  BOOST_TEST(at::equal(back, message(next(), 9, kCount, at::kFloat)));
  session().barrier();
  for (int i = 0; i < 4; ++i) {
    const auto forward = message(mine(), i, kCount, at::kFloat);
    sends.push_back(group->start_send(forward, next(), 0));
  }
  for (auto& pending : receives) pending->wait();
  for (int i = 0; i < 4; ++i) {
    BOOST_TEST(at::equal(forwards[static_cast<size_t>(i)],
                         message(before(), i, kCount, at::kFloat)));
  }
  for (auto& pending : sends) comm::finish(pending);
}

BOOST_AUTO_TEST_CASE(a_pipeline_has_a_channel_each_way_between_neighbours) {
  const std::vector<comm::Channel> two = {{0, 1, 0}, {1, 0, 1}, {1, 0, 0}, {0, 1, 1}};
  BOOST_TEST((comm::pipeline_channels(2) == two));
  BOOST_TEST(comm::pipeline_channels(1).empty());
  BOOST_TEST(comm::pipeline_channels(4).size() == 8u);
}

BOOST_AUTO_TEST_CASE(a_peer_must_be_another_rank_of_the_group) {
  const auto group = group_with({});
  const at::Tensor x = at::zeros({3}, on_device(at::kFloat));
  const auto named = [](const Error& error) {
    const std::string what = error.what();
    BOOST_TEST_MESSAGE(what);
    return what.find("pipeline") != what.npos && what.find("rank") != what.npos;
  };
  BOOST_CHECK_EXCEPTION(group->start_send(x, mine(), 0), Error, named);
  BOOST_CHECK_EXCEPTION(group->start_receive(x, world(), 0), Error, named);
  BOOST_CHECK_EXCEPTION(group->start_send(x, -1, 0), Error, named);
}

BOOST_AUTO_TEST_CASE(nccl_carries_only_the_channels_of_the_group) {
  if (world() == 1 || test::backend() != comm::Backend::kNccl) return;
  const auto group = group_with({{0, 1, 0}});
  const at::Tensor x = at::zeros({3}, on_device(at::kFloat));
  const auto named = [](const Error& error) {
    const std::string what = error.what();
    BOOST_TEST_MESSAGE(what);
    return what.find("of group pipeline with tag 7") != what.npos;
  };
  BOOST_CHECK_EXCEPTION(group->start_send(x, next(), 7), Error, named);
  // Host tensors go where they like.
  at::Tensor sent = at::full({3}, mine()), got = at::zeros({3}, sent.options());
  auto pending = group->start_send(sent, next(), 7);
  group->start_receive(got, before(), 7)->wait();
  comm::finish(pending);
  BOOST_TEST(at::equal(got, at::full({3}, before())));
}

BOOST_AUTO_TEST_SUITE_END()
