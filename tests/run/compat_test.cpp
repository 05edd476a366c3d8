// compat = mca in the real program: the run is the one that its parts by hand make, and
// padding changes what enters the model, not what comes out.
#define BOOST_TEST_MODULE compat
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "tiny_run.hpp"

using namespace mtrain;

namespace {

constexpr char kShape[] = "per_device_train_batch_size=2 gradient_accumulation_steps=2";

std::vector<nlohmann::json> log(const test::TinyRun& run, const std::string& keys,
                                const std::string& banner) {
  std::filesystem::remove_all(run.at("out"));
  const std::string said = run.succeed(1, test::words(keys + " " + kShape));
  BOOST_TEST(said.find(banner) != said.npos, said);
  return test::read_jsonl(run.at("out") / "trainer_log.jsonl");
}

}  // namespace

BOOST_AUTO_TEST_CASE(mca_is_order_average_and_padding) {
  const test::TinyRun run("compat");
  const auto mca =
      log(run, "compat=mca",
          "compat = mca: in order; loss: mean of the micro-batches' means; padding to a "
          "multiple of 8");
  const auto hand =
      log(run, "shuffle=false loss_average=sample_mean",
          "compat = none: in order; loss: mean of the micro-batches' means; no padding");
  const auto token = log(run, "shuffle=false", "loss: mean over all trained tokens");
  BOOST_REQUIRE(mca.size() == hand.size());
  for (size_t i = 0; i < mca.size(); ++i) {
    const double loss = mca[i]["loss"], expected = hand[i]["loss"];
    BOOST_TEST(std::abs(loss / expected - 1) < 1e-6);
    BOOST_TEST(std::abs(loss / token[i]["loss"].get<double>() - 1) > 1e-6);
  }
  // 8 samples of 9 to 17 tokens, one of them a target only: 8 or 16 positions each.
  BOOST_TEST(mca[1]["num_tokens"].get<int64_t>() % 8 == 0);
  BOOST_TEST(mca[1]["num_tokens"].get<int64_t>() > hand[1]["num_tokens"].get<int64_t>());
}

// The router's coefficient is that of config.json unless the deck gives one. Samples of
// full length need no padding, so every layout sees the same tokens.
BOOST_AUTO_TEST_CASE(experts) {
  const test::TinyRun run("compat-experts");
  std::vector<data::Sample> samples = test::random_samples(24, 512);
  for (auto& sample : samples) {
    sample.input_ids.resize(9);
    sample.labels.resize(9);
  }
  test::write_samples(run.at("tokens.h5"), samples);
  const std::string model =
      "model_name_or_path=" + test::golden_model("tiny-qwen3-moe").string() +
      " dtype=float32 cutoff_len=8 ";
  const std::string from_model = "moe_aux_loss_coeff = 0.01 ";
  const auto mca = log(run, model + "compat=mca", from_model);
  const auto hand =
      log(run, model + "shuffle=false loss_average=sample_mean moe_aux_loss_coeff=0.01",
          "no padding");
  const auto none = log(run, model + "compat=mca moe_aux_loss_coeff=0", "compat = mca");
  BOOST_REQUIRE(mca.size() == hand.size());
  for (size_t i = 0; i < mca.size(); ++i) {
    for (const char* figure : {"loss", "grad_norm", "aux_loss"}) {
      const double a = hand[i][figure], b = mca[i][figure];
      BOOST_TEST(std::abs(b / a - 1) < 1e-6, figure);
    }
    BOOST_TEST(none[i]["grad_norm"] != mca[i]["grad_norm"]);
  }
  // Micro-batches of 2 samples on each of 2 ranks, once.
  std::filesystem::remove_all(run.at("out"));
  const std::string said =
      run.succeed(2, test::words(model + "compat=mca per_device_train_batch_size=2 "
                                         "expert_model_parallel_size=2"));
  BOOST_TEST(said.find("padding to 8") != said.npos, said);
  const auto shared = test::read_jsonl(run.at("out") / "trainer_log.jsonl");
  for (size_t i = 0; i < mca.size(); ++i) {
    const double a = mca[i]["loss"], b = shared[i]["loss"];
    BOOST_TEST(std::abs(b / a - 1) < 2e-5);
  }
}
