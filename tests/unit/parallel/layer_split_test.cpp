// Layers per pipeline stage and chunk: Megatron's rules, and every refusal.
#include "mtrain/parallel/layer_split.hpp"

#include <boost/test/unit_test.hpp>

#include "mtrain/base/error.hpp"

using namespace mtrain;
using namespace mtrain::parallel;
using Counts = std::vector<int>;

namespace {

/// Layers of each virtual stage; checks that they follow each other without a gap.
Counts counts(const LayerSplitOptions& options) {
  Counts result;
  int next = 0;
  for (const LayerRange& range : split_layers(options)) {
    BOOST_TEST(range.begin == next);
    next = range.end;
    result.push_back(range.size());
  }
  BOOST_TEST(next == options.layers);
  return result;
}

void check(const LayerSplitOptions& options, const Counts& expected) {
  const Counts found = counts(options);
  BOOST_CHECK_MESSAGE(found == expected, join(found, " ")
                                             << " instead of " << join(expected, " "));
}

/// "what | remedy" of the UserError, or nothing.
std::string refusal(const LayerSplitOptions& options) {
  try {
    split_layers(options);
  } catch (const UserError& error) {
    return cat(error.what(), " | ", error.remedy());
  }
  return {};
}

bool names(const std::string& message, const std::string& part) {
  return message.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(layer_split)

BOOST_AUTO_TEST_CASE(even) {
  check({8, 4, 1, {}, {}, false, false}, {2, 2, 2, 2});
  check({5, 1, 1, {}, {}, false, false}, {5});
  check({8, 2, 2, {}, {}, false, false}, {2, 2, 2, 2});
}

BOOST_AUTO_TEST_CASE(every_size_that_divides_is_split_evenly) {
  for (int stages = 1; stages <= 5; ++stages)
    for (int chunks = 1; chunks <= 3; ++chunks)
      for (int each = 1; each <= 4; ++each) {
        const int places = stages * chunks;
        check({places * each, stages, chunks, {}, {}, false, false},
              Counts(static_cast<size_t>(places), each));
      }
}

BOOST_AUTO_TEST_CASE(first_and_last_stage) {
  check({10, 4, 1, 2, 2, false, false}, {2, 3, 3, 2});
  check({7, 3, 1, 1, {}, false, false}, {1, 3, 3});
  check({7, 3, 1, {}, 1, false, false}, {3, 3, 1});
  check({5, 2, 1, 3, 2, false, false}, {3, 2});
  // The counts are of the stage; its chunks share them.
  check({12, 3, 2, 2, 2, false, false}, {1, 4, 1, 1, 4, 1});
}

BOOST_AUTO_TEST_CASE(embedding_and_loss_count_as_layers) {
  check({7, 4, 1, {}, {}, true, false}, {1, 2, 2, 2});
  check({7, 4, 1, {}, {}, false, true}, {2, 2, 2, 1});
  check({6, 4, 1, {}, {}, true, true}, {1, 2, 2, 1});
  check({14, 4, 2, {}, {}, true, true}, {1, 2, 2, 2, 2, 2, 2, 1});
  // A stage with the embedding alone.
  check({2, 2, 2, {}, {}, true, true}, {0, 1, 1, 0});
  check({4, 1, 1, {}, {}, true, true}, {4});
}

// Every way that the remedies name works.
BOOST_AUTO_TEST_CASE(working_splits_work) {
  for (int layers = 2; layers <= 96; ++layers)
    for (int stages = 2; stages <= 16; ++stages)
      for (int chunks = 1; chunks <= 3; ++chunks)
        for (const auto& split :
             working_splits({layers, stages, chunks, {}, {}, false, false})) {
          int sum = 0;
          for (const auto& range : split_layers(split)) sum += range.size();
          BOOST_REQUIRE(sum == layers);
        }
  // Qwen3-235B-A22B.
  const auto ways = working_splits({94, 8, 1, {}, {}, false, false});
  BOOST_REQUIRE(!ways.empty());
  check(ways.front(), {11, 12, 12, 12, 12, 12, 12, 11});
  for (const int stages : {2, 4, 6, 8, 12, 16, 32})
    BOOST_TEST(!working_splits({94, stages, 1, {}, {}, false, false}).empty(), stages);
}

BOOST_AUTO_TEST_CASE(layers_that_do_not_divide_name_the_keys_that_help) {
  const std::string message = refusal({7, 2, 1, {}, {}, false, false});
  BOOST_TEST(names(message, "pipeline_model_parallel_size"), message);
  BOOST_TEST(names(message, "7 layers"), message);
  BOOST_TEST(names(message, "account_for_loss_in_pipeline_split = true;"), message);
  BOOST_TEST(names(message, "num_layers_in_last_pipeline_stage = 3;"), message);
  BOOST_TEST(names(message, "pipeline_model_parallel_size = 1 or 7"), message);
  const std::string large = refusal({94, 8, 1, {}, {}, false, false});
  BOOST_TEST(names(large,
                   "account_for_embedding_in_pipeline_split = true and "
                   "account_for_loss_in_pipeline_split = true"),
             large);
  BOOST_TEST(names(large, "num_layers_in_last_pipeline_stage = 10;"), large);
  const std::string chunks = refusal({8, 2, 3, {}, {}, false, false});
  BOOST_TEST(names(chunks, "virtual_pipeline_model_parallel_size"), chunks);
  BOOST_TEST(names(chunks, "4 layers"), chunks);
  BOOST_TEST(names(chunks, "virtual_pipeline_model_parallel_size = 2 or 4"), chunks);
  const std::string accounted = refusal({8, 4, 1, {}, {}, true, false});
  BOOST_TEST(names(accounted, "account_for_embedding_in_pipeline_split"), accounted);
}

BOOST_AUTO_TEST_CASE(more_stages_than_layers) {
  const std::string message = refusal({3, 4, 1, {}, {}, false, false});
  BOOST_TEST(names(message, "3 layers"), message);
  BOOST_TEST(names(message, "account_for_loss_in_pipeline_split = true"), message);
  BOOST_TEST(names(message, "pipeline_model_parallel_size = 3"), message);
}

BOOST_AUTO_TEST_CASE(counts_that_contradict_are_refused) {
  BOOST_TEST(names(refusal({8, 1, 1, 4, {}, false, false}), ">= 2"));
  BOOST_TEST(names(refusal({5, 2, 1, 3, 3, false, false}), "do not add up"));
  BOOST_TEST(names(refusal({5, 2, 1, 2, 2, false, false}), "do not add up"));
  BOOST_TEST(names(refusal({5, 3, 1, 4, 4, false, false}), "do not add up"));
  BOOST_TEST(names(refusal({10, 4, 1, 1, 2, false, false}), "middle pipeline stages"));
  BOOST_TEST(names(refusal({8, 2, 1, 4, {}, true, false}), "cannot be combined"));
}

BOOST_AUTO_TEST_SUITE_END()
