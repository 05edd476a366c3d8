// balance_micro_batches in the real program: the losses and norms of a run without it, in
// every layout, though its micro-batches are others.
#define BOOST_TEST_MODULE balance
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "tiny_run.hpp"

using namespace mtrain;

namespace {

// Relative, in fp32: the same numbers added in another order.
constexpr double kTolerance = 2e-5;

std::vector<nlohmann::json> log(const test::TinyRun& run, int ranks,
                                const std::string& keys) {
  std::filesystem::remove_all(run.at("out"));
  run.succeed(ranks, test::words("per_device_train_batch_size=2 max_steps=3 " + keys));
  return test::read_jsonl(run.at("out") / "trainer_log.jsonl");
}

}  // namespace

BOOST_AUTO_TEST_CASE(no_figure_moves) {
  const test::TinyRun run("balance");
  const auto expected = log(run, 1, "gradient_accumulation_steps=4");
  const struct {
    int ranks;
    const char* keys;
  } layouts[] = {{1, "gradient_accumulation_steps=4"},
                 {2, "gradient_accumulation_steps=2 use_distributed_optimizer=true"},
                 {2, "gradient_accumulation_steps=4 pipeline_model_parallel_size=2"},
                 {4, "gradient_accumulation_steps=2 tensor_model_parallel_size=2"}};
  for (const auto& [ranks, keys] : layouts) {
    const auto found = log(run, ranks, std::string("balance_micro_batches=true ") + keys);
    BOOST_REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      for (const char* figure : {"loss", "grad_norm"}) {
        const double a = expected[i][figure], b = found[i][figure];
        BOOST_TEST(std::abs(b / a - 1) < kTolerance, keys << ": " << figure);
      }
      BOOST_TEST(found[i]["num_tokens"] == expected[i]["num_tokens"], keys);
    }
  }
}
