// Layouts against the number of ranks.
#include "support.hpp"

namespace mtrain::config {

namespace {

Deck layout(int tensor, int pipeline, int context = 1, int expert = 1,
            int expert_tensor = 1) {
  Deck deck = default_deck();
  deck.parallel.tensor_model_parallel_size = tensor;
  deck.parallel.pipeline_model_parallel_size = pipeline;
  deck.parallel.context_parallel_size = context;
  deck.parallel.expert_model_parallel_size = expert;
  deck.parallel.expert_tensor_parallel_size = expert_tensor;
  return deck;
}

std::string layout_fault(const Deck& deck, int ranks) {
  return fault_of([&] { validate_layout(deck, ranks); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(layout_suite)

BOOST_AUTO_TEST_CASE(valid_layouts_pass) {
  validate_layout(layout(1, 1), 1);
  validate_layout(layout(2, 2), 8);
  validate_layout(layout(2, 2, 2), 16);
  validate_layout(layout(1, 4, 1, 2), 8);
  validate_layout(layout(2, 1, 1, 4), 4);
  BOOST_TEST(data_parallel_size(layout(2, 2), 12) == 3);
}

BOOST_AUTO_TEST_CASE(every_layout_names_its_smallest_number_of_ranks) {
  for (const auto& [deck, ranks] :
       std::vector<std::pair<Deck, int>>{{layout(1, 1), 1},
                                         {layout(2, 2, 2), 8},
                                         {layout(1, 4, 1, 2), 8},
                                         {layout(2, 1, 1, 4), 4},
                                         {layout(2, 1, 1, 3, 1), 6},
                                         {layout(2, 2, 1, 2, 2), 8}}) {
    BOOST_TEST(rank_multiple(deck) == ranks);
    validate_layout(deck, ranks);
    validate_layout(deck, 2 * ranks);
    for (int fewer = 1; fewer < ranks; ++fewer) layout_fault(deck, fewer);
  }
  const int most = std::numeric_limits<int>::max();
  BOOST_TEST(rank_multiple(layout(most, most, most, most, most)) > most);
}

BOOST_AUTO_TEST_CASE(ranks_must_divide) {
  CHECK_HAS(layout_fault(layout(2, 2), 6), "6 ranks", "tensor_model_parallel_size 2",
            "pipeline_model_parallel_size 2", "= 4", "start 4 or 8 ranks");
  CHECK_HAS(layout_fault(layout(4, 1), 6), "tensor_model_parallel_size = 3 or 6");
  CHECK_HAS(layout_fault(layout(4, 2), 4), "start 8 ranks",
            "tensor_model_parallel_size = 2");
  CHECK_HAS(layout_fault(layout(1, 3), 4), "pipeline_model_parallel_size = 2 or 4");
  CHECK_HAS(layout_fault(layout(2147483647, 2147483647), 4), "4 ranks");
  CHECK_HAS(layout_fault(layout(1, 1), 0), "start at least 1");
}

BOOST_AUTO_TEST_CASE(experts_fold_into_the_ranks_of_a_stage) {
  CHECK_HAS(layout_fault(layout(1, 4, 1, 3), 8), "expert_model_parallel_size 3",
            "start 12 ranks", "expert_model_parallel_size = 2");
  CHECK_HAS(layout_fault(layout(1, 1, 1, 2, 3), 4), "expert_tensor_parallel_size 3");
}

BOOST_AUTO_TEST_CASE(both_faults_come_at_once) {
  CHECK_HAS(layout_fault(layout(3, 1, 1, 5), 8), "2 faults",
            "tensor_model_parallel_size 3", "expert_model_parallel_size 5");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::config
