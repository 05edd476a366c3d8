// Sharing out what several ranks hold: each element once, all ranks about alike.
#include "mtrain/checkpoint/share.hpp"

#include <algorithm>
#include <map>
#include <random>

#include "coverage.hpp"
#include "fixtures.hpp"

using namespace mtrain;
using namespace mtrain::checkpoint;
using namespace mtrain::checkpoint::test;

namespace {

using Held = std::vector<std::vector<Box>>;

std::vector<int64_t> loads_of(const Held& held) {
  std::vector<int64_t> loads;
  for (const auto& parts : share_out(held)) {
    loads.push_back(0);
    for (const Part& part : parts) loads.back() += part.box.size();
  }
  return loads;
}

/// How often each element of each tensor is counted by `visit(box)`.
class Counts {
 public:
  void add(const Box& box) {
    at::Tensor& count = counts_[box.tensor];
    if (!count.defined()) count = at::zeros(box.full, at::kInt);
    at::Tensor view = view_of(box, all_of(box.tensor, box.full), count);
    view.add_(1);
  }
  const std::map<std::string, at::Tensor>& all() const { return counts_; }

 private:
  std::map<std::string, at::Tensor> counts_;
};

/// Every element that some rank holds is in exactly one part, of a rank that holds it.
void check_once(const Held& held) {
  Counts holders, stores;
  for (const auto& boxes : held)
    for (const Box& box : boxes) holders.add(box);
  const auto parts = share_out(held);
  BOOST_REQUIRE(parts.size() == held.size());
  for (size_t rank = 0; rank < held.size(); ++rank)
    for (const Part& part : parts[rank]) {
      BOOST_TEST(uncovered(part.box, {held[rank][part.index]}).empty());
      stores.add(part.box);
    }
  for (const auto& [name, count] : holders.all())
    BOOST_TEST(at::equal(stores.all().at(name), count.clamp_max(1)), name);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(share)

BOOST_AUTO_TEST_CASE(replicas_share_the_work) {
  // Data parallelism without a distributed optimizer: all ranks hold everything.
  for (const size_t ranks : {1u, 2u, 3u, 8u}) {
    const std::vector<Box> all = {all_of("embed", {1000, 16}), all_of("norm", {16}),
                                  all_of("w", {64, 16}), all_of("scale", {})};
    const Held held(ranks, all);
    check_once(held);
    const auto loads = loads_of(held);
    const int64_t total = 1000 * 16 + 16 + 64 * 16 + 1;
    const auto average = static_cast<double>(total) / static_cast<double>(ranks);
    for (const int64_t load : loads)
      BOOST_TEST(std::abs(static_cast<double>(load) / average - 1) < 0.1);
  }
}

BOOST_AUTO_TEST_CASE(what_one_rank_holds_stays_whole) {
  const Held held = {{all_of("a", {100, 4})},
                     {all_of("b", {10, 4}), all_of("n", {40})},
                     {all_of("n", {40})}};
  check_once(held);
  const auto parts = share_out(held);
  BOOST_TEST((parts[0] == std::vector<Part>{{0, all_of("a", {100, 4})}}));
  BOOST_TEST(parts[1].size() + parts[2].size() >= 2);
  BOOST_TEST(loads_of(held)[2] == 40);  // rank 1 has b already
}

BOOST_AUTO_TEST_CASE(any_boxes_and_holders) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    Held held(1 + random() % 6);
    for (int t = 0; t < 12; ++t) {
      const auto dim = [&] { return static_cast<int64_t>(1 + random() % 9); };
      Box box = all_of(cat("t", t), {dim(), dim(), dim()});
      if (random() % 2) {  // a part of one row
        box.extent[0] = 1;
        box.offset[0] = static_cast<int64_t>(random()) % box.full[0];
      }
      const size_t owner = random() % held.size();
      for (size_t rank = 0; rank < held.size(); ++rank)
        if (rank == owner || random() % 2) held[rank].push_back(box);
    }
    check_once(held);
  }
}

// As where experts are split over other ranks than the layer around them.
BOOST_AUTO_TEST_CASE(boxes_that_overlap_in_part) {
  const Shape full = {6, 8};
  const Held held = {{{"w", full, {0, 0}, {4, 8}}},
                     {{"w", full, {2, 0}, {4, 8}}},
                     {{"w", full, {0, 0}, {6, 4}}, {"w", full, {0, 4}, {1, 4}}}};
  check_once(held);
  const auto loads = loads_of(held);
  BOOST_TEST(*std::ranges::max_element(loads) <= 20);  // of 48
}

BOOST_AUTO_TEST_CASE(any_overlaps) {
  std::mt19937 random(5);
  const auto below = [&](int64_t bound) {
    return static_cast<int64_t>(random()) % bound;
  };
  for (int round = 0; round < 200; ++round) {
    const Shape full = {1 + below(5), 1 + below(5), 1 + below(5)};
    Held held(static_cast<size_t>(1 + below(6)));
    for (auto& boxes : held) {
      Box box = all_of("t", full);
      for (size_t d = 0; d < full.size(); ++d) {
        box.offset[d] = below(full[d]);
        box.extent[d] = 1 + below(full[d] - box.offset[d]);
      }
      boxes.push_back(box);
    }
    check_once(held);
  }
}

BOOST_AUTO_TEST_CASE(boxes_travel_as_text) {
  const std::vector<Box> boxes = {
      all_of("a", {3, 4}), {"b", {9}, {2}, {5}}, all_of("scale", {})};
  BOOST_TEST((boxes_of_text(boxes_text(boxes)) == boxes));
}

BOOST_AUTO_TEST_SUITE_END()
