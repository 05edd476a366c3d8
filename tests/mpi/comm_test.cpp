// The communicator on real ranks: every operation, dtype and calling style, over tensors
// of the device and backend the program was started with.
#define BOOST_TEST_MODULE mpi_comm
#include "support/mpi_main.hpp"
//
#include <ATen/ATen.h>

#include <chrono>

#include "mtrain/base/error.hpp"

using namespace mtrain;
using comm::Communicator;
using comm::Pending;
using comm::Reduce;
using test::backend;
using test::device;
using test::everyone;
using test::on_device;
using test::session;

namespace {

constexpr at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16, at::kLong};

int world() {
  return session().world_size();
}

int mine() {
  return session().rank();
}

std::unique_ptr<Communicator> all_ranks() {
  return session().make_group("everyone", everyone(), backend());
}

/// What rank `rank` contributes at element i: small integers of both signs, so that sums
/// are exact in every type and order.
int64_t value(int rank, int64_t i) {
  return (rank + 1) * (i % 7 - 2);
}

template <class Value>
at::Tensor filled(at::ScalarType type, int64_t count, const Value& at_index) {
  at::Tensor x = at::empty({count}, at::kLong);
  for (int64_t i = 0; i < count; ++i) x[i] = static_cast<int64_t>(at_index(i));
  return x.to(on_device(type));
}

at::Tensor contribution(at::ScalarType type, int64_t count, int rank) {
  return filled(type, count, [&](int64_t i) { return value(rank, i); });
}

at::Tensor sum_of_all(at::ScalarType type, int64_t count) {
  return filled(type, count, [](int64_t i) {
    int64_t sum = 0;
    for (int r = 0; r < world(); ++r) sum += value(r, i);
    return sum;
  });
}

/// The contributions of the group's ranks, one after the other.
at::Tensor all_of(at::ScalarType type, int64_t count) {
  std::vector<at::Tensor> parts;
  for (int r = 0; r < world(); ++r) parts.push_back(contribution(type, count, r));
  return at::cat(parts);
}

bool same(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && at::equal(a, b);
}

/// Runs `use` on the finished operation, once waited for at once, once after other work.
template <class Start, class Check>
void both_styles(const Start& start, const Check& check) {
  {
    auto [pending, result] = start();
    pending->wait();
    check(result);
    // A result without elements is compared without a look at the device.
    at::ones({1}, result.options()).item();
    BOOST_TEST(pending->done());
  }
  {
    auto [pending, result] = start();
    // The ranks meet outside the operation before anyone waits for it.
    session().barrier();
    pending->wait();
    check(result);
  }
  {
    auto [pending, result] = start();
    while (!pending->done()) {
    }
    comm::finish(pending);
    BOOST_TEST(!pending);
    check(result);
  }
}

using Started = std::pair<Pending, at::Tensor>;

}  // namespace

BOOST_AUTO_TEST_CASE(all_reduce) {
  const auto group = all_ranks();
  for (const auto type : kTypes) {
    both_styles(
        [&]() -> Started {
          const at::Tensor x = contribution(type, 23, mine());
          return {group->start_all_reduce(x, Reduce::kSum), x};
        },
        [&](const at::Tensor& x) { BOOST_TEST(same(x, sum_of_all(type, 23))); });
    at::Tensor x = contribution(type, 23, mine());
    group->all_reduce(x, Reduce::kMax);
    const auto largest = [](int64_t i) {
      return std::max(value(0, i), value(world() - 1, i));
    };
    BOOST_TEST(same(x, filled(type, 23, largest)));
  }
}

BOOST_AUTO_TEST_CASE(reduce_scatter) {
  const auto group = all_ranks();
  constexpr int64_t kPart = 9;
  for (const auto type : kTypes) {
    const at::Tensor sums = sum_of_all(type, kPart * world());
    const at::Tensor expected = sums.narrow(0, kPart * mine(), kPart);
    for (const bool own_slot : {false, true}) {
      both_styles(
          [&]() -> Started {
            const at::Tensor in = contribution(type, kPart * world(), mine());
            const at::Tensor out = own_slot ? in.narrow(0, kPart * mine(), kPart)
                                            : at::empty({kPart}, in.options());
            return {group->start_reduce_scatter(in, out), out};
          },
          [&](const at::Tensor& out) { BOOST_TEST(same(out, expected)); });
    }
  }
}

BOOST_AUTO_TEST_CASE(all_gather) {
  const auto group = all_ranks();
  constexpr int64_t kPart = 9;
  for (const auto type : kTypes) {
    for (const bool own_slot : {false, true}) {
      both_styles(
          [&]() -> Started {
            const at::Tensor values = contribution(type, kPart, mine());
            const at::Tensor out = at::full({kPart * world()}, -9, values.options());
            at::Tensor in = values;
            if (own_slot) in = out.narrow(0, kPart * mine(), kPart).copy_(values);
            return {group->start_all_gather(in, out), out};
          },
          [&](const at::Tensor& out) { BOOST_TEST(same(out, all_of(type, kPart))); });
    }
  }
}

BOOST_AUTO_TEST_CASE(broadcast_from_every_root) {
  const auto group = all_ranks();
  for (const auto type : kTypes) {
    for (int root = 0; root < world(); ++root) {
      both_styles(
          [&]() -> Started {
            const at::Tensor x = contribution(type, 31, mine());
            return {group->start_broadcast(x, root), x};
          },
          [&](const at::Tensor& x) {
            BOOST_TEST(same(x, contribution(type, 31, root)));
          });
    }
  }
}

namespace {

/// Rows rank `from` sends to rank `to`.
using RowCount = int64_t (*)(int from, int to);

/// Every row says who sent it, to whom, and which it is.
at::Tensor rows_between(at::ScalarType type, int from, int to, int64_t count) {
  return filled(type, count * 3,
                [&](int64_t i) { return i % 3 == 0   ? from
                                        : i % 3 == 1 ? to
                                                     : i / 3; })
      .view({count, 3});
}

void check_all_to_all(Communicator& group, at::ScalarType type, RowCount rows) {
  std::vector<int64_t> in_rows, out_rows;
  std::vector<at::Tensor> send, expected;
  for (int peer = 0; peer < world(); ++peer) {
    in_rows.push_back(rows(mine(), peer));
    out_rows.push_back(rows(peer, mine()));
    send.push_back(rows_between(type, mine(), peer, in_rows.back()));
    expected.push_back(rows_between(type, peer, mine(), out_rows.back()));
  }
  both_styles(
      [&]() -> Started {
        const at::Tensor in = at::cat(send);
        const at::Tensor out = at::full_like(at::cat(expected), -9);
        return {group.start_all_to_all(in, in_rows, out, out_rows), out};
      },
      [&](const at::Tensor& out) { BOOST_TEST(same(out, at::cat(expected))); });
}

}  // namespace

BOOST_AUTO_TEST_CASE(all_to_all_with_uneven_rows) {
  const auto group = all_ranks();
  for (const auto type : kTypes) {
    check_all_to_all(*group, type,
                     [](int from, int to) -> int64_t { return (2 * from + to) % 4; });
    check_all_to_all(*group, type, [](int, int) -> int64_t { return 2; });
    // Rank 0 sends nothing at all, rank 1 gets nothing at all.
    check_all_to_all(*group, type, [](int from, int to) -> int64_t {
      return from == 0 || to == 1 ? 0 : 1 + from;
    });
    check_all_to_all(*group, type, [](int, int) -> int64_t { return 0; });
  }
}

BOOST_AUTO_TEST_CASE(all_to_all_of_vectors) {
  const auto group = all_ranks();
  const std::vector<int64_t> one(static_cast<size_t>(world()), 1);
  const at::Tensor in =
      filled(at::kLong, world(), [](int64_t to) { return 10 * mine() + to; });
  const at::Tensor out = at::zeros({world()}, on_device(at::kLong));
  group->start_all_to_all(in, one, out, one)->wait();
  BOOST_TEST(same(
      out, filled(at::kLong, world(), [](int64_t from) { return 10 * from + mine(); })));
}

BOOST_AUTO_TEST_CASE(operations_in_flight_together_may_be_waited_for_in_any_order) {
  const auto group = all_ranks(), other = all_ranks();
  for (const auto type : kTypes) {
    const at::Tensor gathered = at::zeros({4 * world()}, on_device(type));
    const at::Tensor scattered = at::zeros({4}, on_device(type));
    const at::Tensor sum = contribution(type, 23, mine());
    auto gather = group->start_all_gather(contribution(type, 4, mine()), gathered);
    auto scatter =
        group->start_reduce_scatter(contribution(type, 4 * world(), mine()), scattered);
    auto reduce = other->start_all_reduce(sum, Reduce::kSum);
    reduce->wait();
    scatter->wait();
    gather->wait();
    BOOST_TEST(same(gathered, all_of(type, 4)));
    BOOST_TEST(same(scattered, sum_of_all(type, 4 * world()).narrow(0, 4 * mine(), 4)));
    BOOST_TEST(same(sum, sum_of_all(type, 23)));
  }
}

// The compute of the current stream and the operation run at the same time, in the order
// that start and wait ask for.
BOOST_AUTO_TEST_CASE(an_operation_overlaps_compute) {
  const auto group = all_ranks();
  const auto type = on_device(at::kFloat);
  const at::Tensor ones = at::ones({512, 512}, type);
  for (int repeat = 0; repeat < 5; ++repeat) {
    at::Tensor x = at::zeros({1 << 20}, type);
    // What is enqueued before the start comes before it, however long it takes.
    for (int i = 0; i < 4; ++i) x += at::mm(ones, ones)[0][0] / 512;
    auto pending = group->start_all_reduce(x, Reduce::kSum);
    at::Tensor product = ones;
    for (int i = 0; i < 4; ++i) product = at::mm(product, ones) / 512;
    pending->wait();
    // What is enqueued after the wait sees the result, and may change it.
    x *= 2;
    BOOST_TEST(at::equal(product, ones));
    BOOST_TEST(at::equal(x, at::full_like(x, 8 * world())));
  }
}

BOOST_AUTO_TEST_CASE(the_host_waits_only_where_it_must) {
  const auto group = all_ranks();
  const at::Tensor x = at::zeros({1024}, on_device(at::kFloat));
  std::vector<Pending> pending;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i)
    pending.push_back(group->start_all_reduce(x, Reduce::kSum));
  const std::chrono::duration<double, std::micro> spent =
      std::chrono::steady_clock::now() - start;
  if (mine() == 0) BOOST_TEST_MESSAGE("one start: " << spent.count() / 100 << " us");
  for (auto& one : pending) comm::finish(one);
  BOOST_TEST(at::equal(x, at::zeros_like(x)));
}

BOOST_AUTO_TEST_CASE(a_dropped_operation_is_waited_for) {
  const auto group = all_ranks();
  const at::Tensor sum = contribution(at::kFloat, 100000, mine());
  const std::vector<int64_t> one(static_cast<size_t>(world()), 1);
  const at::Tensor out = at::zeros({world(), 3}, on_device(at::kLong));
  {
    auto dropped = group->start_all_reduce(sum, Reduce::kSum);
    auto rows = group->start_all_to_all(at::ones_like(out), one, out, one);
  }
  BOOST_TEST(same(sum, sum_of_all(at::kFloat, 100000)));
  BOOST_TEST(same(out, at::ones_like(out)));
}

// 256 + 1 has no bf16; round to even gives 256, and adding in fp32 first loses nothing
// else.
BOOST_AUTO_TEST_CASE(bfloat16_sums_round_once_per_addition) {
  if (world() == 1) return;
  const int even = mine() / 2 * 2;
  const auto group = session().make_group("pair", {even, even + 1}, backend());
  const bool first = group->rank() == 0;
  at::Tensor x = at::tensor({first ? 256.0 : 1.0, first ? 0.5 : 0.25, first ? -3.0 : 3.0})
                     .to(on_device(at::kBFloat16));
  group->all_reduce(x, Reduce::kSum);
  BOOST_TEST(same(x, at::tensor({256.0, 0.75, 0.0}).to(on_device(at::kBFloat16))));
}

BOOST_AUTO_TEST_CASE(a_group_of_one_changes_nothing) {
  const auto group = session().make_group("alone", {mine()}, backend());
  BOOST_TEST(group->size() == 1);
  BOOST_TEST(group->rank() == 0);
  for (const auto type : kTypes) {
    const at::Tensor values = contribution(type, 12, mine()).view({4, 3});
    at::Tensor x = values.clone();
    group->all_reduce(x, Reduce::kSum);
    group->broadcast(x, 0);
    group->reduce_scatter(x, x);
    group->all_gather(x, x);
    BOOST_TEST(same(x, values));
    at::Tensor scattered = at::zeros_like(values.flatten());
    at::Tensor gathered = at::zeros_like(scattered);
    group->reduce_scatter(values, scattered);
    group->all_gather(values, gathered);
    BOOST_TEST(same(scattered, values.flatten()));
    BOOST_TEST(same(gathered, values.flatten()));
    at::Tensor rows = at::zeros_like(values);
    group->start_all_to_all(values, {4}, rows, {4})->wait();
    BOOST_TEST(same(rows, values));
  }
}

BOOST_AUTO_TEST_CASE(a_group_keeps_the_order_it_was_given) {
  auto ranks = everyone();
  std::reverse(ranks.begin(), ranks.end());
  const auto group = session().make_group("reversed", ranks, backend());
  BOOST_TEST(group->rank() == world() - 1 - mine());
  BOOST_TEST(group->name() == "reversed");
  const at::Tensor gathered = at::zeros({world()}, on_device(at::kLong));
  group->all_gather(at::full({1}, mine(), on_device(at::kLong)), gathered);
  BOOST_TEST(
      same(gathered, at::tensor(at::ArrayRef<int>(ranks), at::kLong).to(device())));
}

BOOST_AUTO_TEST_CASE(tensors_it_cannot_move_are_refused) {
  const auto group = all_ranks();
  const auto zeros = [](std::vector<int64_t> shape) {
    return at::zeros(shape, on_device(at::kFloat));
  };
  BOOST_CHECK_THROW(group->start_all_reduce(zeros({4, 6}).t(), Reduce::kSum), Error);
  BOOST_CHECK_THROW(group->start_all_gather(zeros({3}), zeros({4})), Error);
  BOOST_CHECK_THROW(group->start_reduce_scatter(zeros({5}), zeros({3})), Error);
  BOOST_CHECK_THROW(group->start_all_gather(zeros({1}).to(at::kLong), zeros({world()})),
                    Error);
  BOOST_CHECK_THROW(session().make_group("others", {mine() + 1}, backend()), Error);
}

BOOST_AUTO_TEST_CASE(errors_name_group_and_operation) {
  if (world() == 1) return;
  const auto group = all_ranks();
  const auto named = [](const Error& error) {
    const std::string what = error.what();
    BOOST_TEST_MESSAGE(what);
    return what.find("everyone") != what.npos && what.find("all-reduce") != what.npos;
  };
  const at::Tensor half = at::zeros({3}, on_device(at::kHalf));
  BOOST_CHECK_EXCEPTION(group->start_all_reduce(half, Reduce::kSum), Error, named);
}
