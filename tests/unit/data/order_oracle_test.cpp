// Orders of records drawn from numpy's generators: those of the reference, number by
// number.
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <numeric>

#include "fixtures.hpp"
#include "record_order.hpp"

using namespace mtrain;
using namespace mtrain::data;
using nlohmann::json;

namespace {

std::vector<std::vector<uint32_t>> datasets_of(const std::vector<int64_t>& lengths) {
  std::vector<std::vector<uint32_t>> datasets;
  for (const int64_t length : lengths) {
    datasets.emplace_back(static_cast<size_t>(length));
    std::iota(datasets.back().begin(), datasets.back().end(), 0u);
  }
  return datasets;
}

std::vector<uint32_t> rows_of(const std::vector<RowRef>& refs) {
  std::vector<uint32_t> rows;
  for (const RowRef& ref : refs) rows.push_back(ref.row);
  return rows;
}

void check_interleave(const json& example) {
  const std::string name = example.at("mix_strategy");
  const auto strategy = name == "interleave_under"  ? MixStrategy::kInterleaveUnder
                        : name == "interleave_over" ? MixStrategy::kInterleaveOver
                                                    : MixStrategy::kInterleaveOnce;
  const auto probabilities =
      example.at("interleave_probs").is_null()
          ? std::vector<double>{}
          : example.at("interleave_probs").get<std::vector<double>>();
  const auto rows = mixed_rows(datasets_of(example.at("lengths")), strategy,
                               probabilities, example.at("seed"));
  std::vector<RowRef> expected;
  for (const auto& pair : example.at("order")) expected.push_back({pair[0], pair[1]});
  BOOST_TEST((rows == expected), example.dump().substr(0, 200));
}

void check_split(const json& example) {
  const auto rows =
      mixed_rows(datasets_of({example.at("n")}), MixStrategy::kConcat, {}, 0);
  const Split split = split_rows(rows, example.at("val_size"), example.at("seed"));
  BOOST_TEST(rows_of(split.train) == example.at("train").get<std::vector<uint32_t>>());
  BOOST_TEST(rows_of(split.eval) == example.at("eval").get<std::vector<uint32_t>>());
}

void check_samples(const json& example) {
  LegacyRandom random(example.at("seed").get<uint32_t>());
  BOOST_TEST(selected_rows(example.at("n"), example.at("num_samples").get<int64_t>(),
                           std::nullopt,
                           random) == example.at("rows").get<std::vector<uint32_t>>());
}

void check_generator(const json& example) {
  const uint64_t seed = example.at("seed");
  Pcg64 uniform(seed), permuted(seed), chosen(seed);
  for (const double value : example.at("pcg64_random_8"))
    BOOST_TEST(uniform.uniform() == value);
  BOOST_TEST(permuted.permutation(12) ==
             example.at("permutation_12").get<std::vector<int64_t>>());
  const auto cumulative = Pcg64::cumulative({0.7, 0.3});
  for (const size_t value : example.at("choice_p_0.7_0.3_first_30"))
    BOOST_TEST(chosen.choice(cumulative) == value);
}

}  // namespace

BOOST_AUTO_TEST_CASE(orders_are_those_of_the_reference) {
  const std::string shared = test::shared_folder();
  if (shared.empty()) return;
  std::ifstream file(shared + "/llamafactory/mixing/mixing.json");
  const json examples = json::parse(file);
  BOOST_TEST(examples.size() > 90u);
  for (const auto& example : examples) {
    const std::string what = example.at("what");
    if (what == "interleave") check_interleave(example);
    if (what == "val_size") check_split(example);
    if (what == "num_samples") check_samples(example);
    if (what == "rng_probe") check_generator(example);
  }
}
