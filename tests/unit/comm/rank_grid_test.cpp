// Rank grid: Megatron's order of ranks, groups over many sizes, refused sizes.
#define BOOST_TEST_MODULE rank_grid
#include "mtrain/comm/rank_grid.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <set>
#include <tuple>

#include "mtrain/base/error.hpp"

using namespace mtrain;
using namespace mtrain::comm;
using Ranks = std::vector<int>;

namespace {

constexpr Axis kAxes[] = {Axis::kTensor,      Axis::kContext,      Axis::kData,
                          Axis::kDataContext, Axis::kPipeline,     Axis::kEmbedding,
                          Axis::kExpert,      Axis::kExpertTensor, Axis::kExpertData};

std::string name(const GridSizes& s) {
  return cat("world ", s.world, " tp ", s.tensor, " cp ", s.context, " ep ", s.expert,
             " etp ", s.expert_tensor, " pp ", s.pipeline);
}

template <class Check>
void for_expert_sizes(GridSizes sizes, const Check& check) {
  const int per_stage = sizes.world / sizes.pipeline;
  for (sizes.expert = 1; sizes.expert <= per_stage; ++sizes.expert) {
    for (sizes.expert_tensor = 1; sizes.expert_tensor <= 3; ++sizes.expert_tensor) {
      if (per_stage % (sizes.expert * sizes.expert_tensor) == 0) check(sizes);
    }
  }
}

/// Every grid of up to 48 ranks with these axes.
template <class Check>
void for_all_sizes(const Check& check) {
  for (const int tensor : {1, 2, 3, 4})
    for (const int context : {1, 2})
      for (const int pipeline : {1, 2, 3, 4})
        for (const int data : {1, 2, 3}) {
          const int world = tensor * context * pipeline * data;
          if (world > 48) continue;
          for_expert_sizes({world, tensor, context, 1, 1, pipeline}, check);
        }
}

int expected_size(const RankGrid& grid, Axis axis) {
  const GridSizes& s = grid.sizes();
  const int per_stage = s.world / s.pipeline;
  switch (axis) {
    case Axis::kTensor:
      return s.tensor;
    case Axis::kContext:
      return s.context;
    case Axis::kData:
      return per_stage / s.tensor / s.context;
    case Axis::kDataContext:
      return per_stage / s.tensor;
    case Axis::kPipeline:
      return s.pipeline;
    case Axis::kEmbedding:
      return std::min(2, s.pipeline);
    case Axis::kExpert:
      return s.expert;
    case Axis::kExpertTensor:
      return s.expert_tensor;
    case Axis::kExpertData:
      return per_stage / s.expert / s.expert_tensor;
  }
  return 0;
}

/// Stages between the ends belong to no embedding group.
bool belongs(const RankGrid& grid, Axis axis, int rank) {
  const int stage = grid.coordinates(rank).pipeline;
  return axis != Axis::kEmbedding || stage == 0 || stage == grid.sizes().pipeline - 1;
}

int position(const RankGrid& grid, Axis axis, int rank) {
  const Ranks group = grid.group(axis, rank);
  return static_cast<int>(std::find(group.begin(), group.end(), rank) - group.begin());
}

std::string refusal(const GridSizes& sizes) {
  try {
    const RankGrid grid(sizes);
  } catch (const UserError& error) {
    return error.what();
  }
  return {};
}

}  // namespace

// The example in the docstring of Megatron-LM's initialize_model_parallel.
BOOST_AUTO_TEST_CASE(sixteen_ranks_are_grouped_as_megatron_does) {
  const RankGrid grid({16, 2, 1, 1, 1, 4});
  BOOST_TEST(grid.data_size() == 2);
  BOOST_TEST(grid.group(Axis::kTensor, 6) == (Ranks{6, 7}),
             boost::test_tools::per_element());
  BOOST_TEST(grid.group(Axis::kData, 0) == (Ranks{0, 2}),
             boost::test_tools::per_element());
  BOOST_TEST(grid.group(Axis::kData, 11) == (Ranks{9, 11}),
             boost::test_tools::per_element());
  BOOST_TEST(grid.group(Axis::kPipeline, 9) == (Ranks{1, 5, 9, 13}),
             boost::test_tools::per_element());
  BOOST_TEST(grid.group(Axis::kEmbedding, 13) == (Ranks{1, 13}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(context_varies_slower_than_tensor_and_faster_than_data) {
  const RankGrid grid({16, 2, 2, 1, 1, 2});
  BOOST_TEST(grid.group(Axis::kContext, 0) == (Ranks{0, 2}),
             boost::test_tools::per_element());
  BOOST_TEST(grid.group(Axis::kData, 3) == (Ranks{3, 7}),
             boost::test_tools::per_element());
  BOOST_TEST(grid.group(Axis::kDataContext, 9) == (Ranks{9, 11, 13, 15}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(experts_fold_into_one_stage) {
  const RankGrid four({16, 2, 1, 4, 1, 2});
  BOOST_TEST(four.group(Axis::kExpert, 13) == (Ranks{12, 13, 14, 15}),
             boost::test_tools::per_element());
  BOOST_TEST(four.group(Axis::kExpertData, 2) == (Ranks{2, 6}),
             boost::test_tools::per_element());
  const RankGrid two({16, 2, 1, 2, 2, 2});
  BOOST_TEST(two.group(Axis::kExpertTensor, 9) == (Ranks{8, 9}),
             boost::test_tools::per_element());
  BOOST_TEST(two.group(Axis::kExpert, 9) == (Ranks{9, 11}),
             boost::test_tools::per_element());
  BOOST_TEST(two.group(Axis::kExpertData, 9) == (Ranks{9, 13}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(every_rank_is_in_exactly_one_group_per_axis) {
  for_all_sizes([](const GridSizes& sizes) {
    const RankGrid grid(sizes);
    for (const Axis axis : kAxes) {
      std::set<Ranks> groups;
      int members = 0;
      for (int rank = 0; rank < sizes.world; ++rank) {
        if (!belongs(grid, axis, rank)) continue;
        ++members;
        const Ranks group = grid.group(axis, rank);
        groups.insert(group);
        const bool once = std::count(group.begin(), group.end(), rank) == 1;
        const bool sized = static_cast<int>(group.size()) == expected_size(grid, axis);
        BOOST_CHECK_MESSAGE(once && sized, name(sizes)
                                               << ": " << to_string(axis) << " group of "
                                               << rank << " is " << join(group, " "));
      }
      // As many different groups as fit: so members of a group agree on it, and none
      // overlap.
      BOOST_CHECK_MESSAGE(
          static_cast<int>(groups.size()) * expected_size(grid, axis) == members,
          name(sizes) << ": " << groups.size() << " " << to_string(axis) << " groups");
    }
  });
}

BOOST_AUTO_TEST_CASE(coordinates_and_ranks_are_inverse) {
  for_all_sizes([](const GridSizes& sizes) {
    const RankGrid grid(sizes);
    for (int rank = 0; rank < sizes.world; ++rank) {
      const Coordinates at = grid.coordinates(rank);
      BOOST_TEST(grid.rank_at(at) == rank);
      BOOST_TEST(position(grid, Axis::kTensor, rank) == at.tensor);
      BOOST_TEST(position(grid, Axis::kContext, rank) == at.context);
      BOOST_TEST(position(grid, Axis::kData, rank) == at.data);
      BOOST_TEST(position(grid, Axis::kPipeline, rank) == at.pipeline);
    }
  });
}

// (expert-tensor, expert, expert-data, pipeline) name a rank as well as its other
// coordinates do.
BOOST_AUTO_TEST_CASE(expert_axes_span_the_world) {
  for_all_sizes([](const GridSizes& sizes) {
    const RankGrid grid(sizes);
    std::set<std::tuple<int, int, int, int>> places;
    for (int rank = 0; rank < sizes.world; ++rank) {
      places.insert(
          {position(grid, Axis::kExpertTensor, rank), position(grid, Axis::kExpert, rank),
           position(grid, Axis::kExpertData, rank), grid.coordinates(rank).pipeline});
    }
    BOOST_TEST(static_cast<int>(places.size()) == sizes.world, name(sizes));
  });
}

BOOST_AUTO_TEST_CASE(sizes_that_do_not_divide_are_refused_with_their_values) {
  BOOST_TEST(refusal({6, 4, 1, 1, 1, 1}).find("4 does not divide 6") !=
             std::string::npos);
  BOOST_TEST(refusal({8, 2, 3, 1, 1, 2}).find("12 does not divide 8") !=
             std::string::npos);
  BOOST_TEST(refusal({8, 1, 1, 3, 1, 1}).find("3 does not divide 8") !=
             std::string::npos);
  // Two stages of four ranks have no room for two times four experts' ranks.
  BOOST_TEST(refusal({8, 1, 1, 4, 2, 2}).find("8 does not divide 4") !=
             std::string::npos);
  BOOST_TEST(refusal({8, 2, 2, 2, 2, 2}).empty());
}

BOOST_AUTO_TEST_CASE(sizes_below_one_are_refused) {
  BOOST_TEST(!refusal({4, 0, 1, 1, 1, 1}).empty());
  BOOST_TEST(!refusal({4, 1, 1, 1, 1, 0}).empty());
  BOOST_TEST(!refusal({4, -2, 1, 1, 1, 1}).empty());
  BOOST_TEST(!refusal({4, 1, 1, 0, 1, 1}).empty());
  BOOST_TEST(!refusal({4, -2, -2, 1, 1, 1}).empty());
  BOOST_TEST(!refusal({4, 1, 1, -1, -1, 1}).empty());
}
