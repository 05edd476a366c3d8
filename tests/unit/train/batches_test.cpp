// From samples to packed micro-batches: shifting, masks, loss weights, evaluation order.
#include "batches.hpp"

#include <ATen/ATen.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <map>

#include "mtrain/base/error.hpp"
#include "token_stores.hpp"

using namespace mtrain;
using namespace mtrain::train;
using models::PackedTokens;

namespace {

constexpr int32_t kIgnore = data::kIgnoreLabel;

/// A data-parallel group in which the other ranks contribute a known number.
class OtherRanks : public comm::Communicator {
 public:
  explicit OtherRanks(int64_t theirs) : Communicator("others", 0, 2), theirs_(theirs) {}
  comm::Pending start_all_reduce(at::Tensor x, comm::Reduce op) override {
    MT_CHECK(op == comm::Reduce::kSum);
    x += theirs_;
    struct Done : comm::Work {
      void wait() override {}
      bool done() override { return true; }
    };
    return std::make_unique<Done>();
  }
  comm::Pending start_reduce_scatter(at::Tensor, at::Tensor) override { return refuse(); }
  comm::Pending start_all_gather(at::Tensor, at::Tensor) override { return refuse(); }
  comm::Pending start_broadcast(at::Tensor, int) override { return refuse(); }
  comm::Pending start_all_to_all(at::Tensor, const std::vector<int64_t>&, at::Tensor,
                                 const std::vector<int64_t>&) override {
    return refuse();
  }
  comm::Pending start_send(at::Tensor, int, int) override { return refuse(); }
  comm::Pending start_receive(at::Tensor, int, int) override { return refuse(); }

 private:
  [[noreturn]] static comm::Pending refuse() { throw Error("not expected"); }
  int64_t theirs_;
};

PackedTokens packed(const std::vector<data::Sample>& samples) {
  PackedTokens tokens;
  tokens.offsets = {0};
  for (const auto& sample : samples) append_sample(sample, tokens);
  return tokens;
}

/// Two micro-batches with three and one trained positions.
StepBatch batch() {
  StepBatch result;
  result.micro_batches = {
      packed({{{1, 2, 3}, {1, 2, 3}}, {{4, 5, 6}, {kIgnore, kIgnore, 6}}}),
      packed({{{7, 8, 9}, {kIgnore, 8, kIgnore}}})};
  return result;
}

void check_weights(const StepBatch& found,
                   const std::vector<std::vector<float>>& expected) {
  BOOST_REQUIRE(found.micro_batches.size() == expected.size());
  for (size_t m = 0; m < expected.size(); ++m) {
    BOOST_TEST(found.micro_batches[m].weights == expected[m],
               boost::test_tools::per_element());
  }
}

/// A store of `rows` samples of three tokens 10 i, 10 i + 1, 10 i + 2.
class Store {
 public:
  explicit Store(int rows) : path_(std::filesystem::temp_directory_path() / name()) {
    data::TokenStoreWriter writer(path_, {data::Stage::kPt, ""});
    for (int32_t i = 0; i < rows; ++i) {
      const std::vector<int32_t> ids = {10 * i, 10 * i + 1, 10 * i + 2};
      writer.append({ids, ids});
    }
    writer.finish();
  }
  ~Store() { std::filesystem::remove(path_); }
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  static std::string name() { return cat("mtrain-batches-test-", ::getpid(), ".h5"); }
  std::filesystem::path path_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(batches)

BOOST_AUTO_TEST_CASE(targets_are_the_next_labels) {
  const PackedTokens tokens =
      packed({{{11, 12, 13, 14}, {kIgnore, 12, kIgnore, 14}}, {{21, 22}, {21, 22}}});
  BOOST_TEST(tokens.ids == (std::vector<int64_t>{11, 12, 13, 21}),
             boost::test_tools::per_element());
  BOOST_TEST(tokens.targets == (std::vector<int64_t>{12, -100, 14, 22}),
             boost::test_tools::per_element());
  BOOST_TEST(tokens.weights == (std::vector<float>{1, 0, 1, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(tokens.offsets == (std::vector<int64_t>{0, 3, 4}),
             boost::test_tools::per_element());
  BOOST_TEST(trained_positions(tokens) == 3);
}

BOOST_AUTO_TEST_CASE(samples_without_a_next_token_leave_no_document) {
  const PackedTokens tokens = packed({{{}, {}}, {{5}, {5}}, {{6, 7}, {6, 7}}});
  BOOST_TEST(tokens.ids == (std::vector<int64_t>{6}), boost::test_tools::per_element());
  BOOST_TEST(tokens.offsets == (std::vector<int64_t>{0, 1}),
             boost::test_tools::per_element());
}

// Four positions here and four elsewhere: each counts an eighth.
BOOST_AUTO_TEST_CASE(token_average_is_over_all_ranks) {
  StepBatch step = batch();
  OtherRanks others(4);
  scale_weights(step, config::LossAverage::kToken, others);
  check_weights(step, {{0.125, 0.125, 0, 0.125}, {0.125, 0}});
}

// Two micro-batches here and two elsewhere: each micro-batch's mean counts a quarter.
BOOST_AUTO_TEST_CASE(sample_mean_averages_micro_batches) {
  StepBatch step = batch();
  OtherRanks others(2);
  scale_weights(step, config::LossAverage::kSampleMean, others);
  const float third = static_cast<float>(1.0 / 12);
  check_weights(step, {{third, third, 0, third}, {0.25, 0}});
}

BOOST_AUTO_TEST_CASE(micro_batches_without_targets_count_for_nothing) {
  StepBatch step;
  step.micro_batches = {packed({{{1, 2}, {kIgnore, kIgnore}}}),
                        packed({{{3, 4}, {3, 4}}})};
  OtherRanks others(0);
  scale_weights(step, config::LossAverage::kSampleMean, others);
  check_weights(step, {{0}, {1}});
}

BOOST_AUTO_TEST_CASE(a_step_without_targets_has_zero_weights) {
  for (const auto average :
       {config::LossAverage::kToken, config::LossAverage::kSampleMean}) {
    StepBatch step;
    step.micro_batches = {packed({{{1, 2}, {kIgnore, kIgnore}}})};
    OtherRanks others(0);
    scale_weights(step, average, others);
    check_weights(step, {{0}});
  }
}

// Seven samples over two ranks, two micro-batches of one sample: every sample once, in
// order.
BOOST_AUTO_TEST_CASE(evaluation_sees_every_sample_once) {
  const Store store(7);
  data::TokenStoreReader reader(store.path());
  std::vector<int64_t> seen;
  const data::SamplerOptions options{7, true, 3, 1, 2, 2};
  BatchLoader first(reader, options, 0), second(reader, options, 1);
  BOOST_TEST(first.evaluation_steps() == 2);
  for (int64_t step = 0; step < 2; ++step)
    for (size_t m = 0; m < 2; ++m)
      for (BatchLoader* loader : {&first, &second}) {
        const auto micro = loader->evaluation_step(step).micro_batches.at(m);
        if (trained_positions(micro) > 0) seen.push_back(micro.ids.front() / 10);
        BOOST_TEST(!micro.ids.empty());
      }
  BOOST_TEST(seen == (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6}),
             boost::test_tools::per_element());
}

// Each step's micro-batches over all ranks are the sampler's global batch, each sample
// once.
BOOST_AUTO_TEST_CASE(ranks_share_a_step_without_overlap) {
  const Store store(12);
  data::TokenStoreReader reader(store.path());
  const data::SamplerOptions options{12, true, 3, 2, 3, 2};
  std::map<int64_t, int> seen;
  for (const int rank : {0, 1}) {
    BatchLoader loader(reader, options, rank);
    const StepBatch step = loader.step(0);
    BOOST_TEST(step.micro_batches.size() == 3u);
    BOOST_TEST(step.tokens == 12);
    for (const auto& micro : step.micro_batches) {
      BOOST_TEST(micro.offsets == (std::vector<int64_t>{0, 2, 4}),
                 boost::test_tools::per_element());
      for (const int64_t id : micro.ids) ++seen[id];
    }
  }
  BOOST_TEST(seen.size() == 24u);
  for (const auto& [id, times] : seen) BOOST_TEST(times == 1, "id " << id);
}

// The same samples as without it, shared by length: 40 tokens against 30 and 10.
BOOST_AUTO_TEST_CASE(a_balanced_step_has_the_same_samples) {
  const auto path =
      std::filesystem::temp_directory_path() / cat("mtrain-balance-", ::getpid(), ".h5");
  data::TokenStoreWriter writer(path.string(), {data::Stage::kPt, ""});
  for (const int32_t length : {10, 30, 40, 20}) {
    const std::vector<int32_t> ids(static_cast<size_t>(length + 1), length);
    writer.append({ids, ids});
  }
  writer.finish();
  data::TokenStoreReader reader(path.string());
  const auto lengths = [&](bool balanced) {
    std::vector<std::vector<int64_t>> result;
    for (const int rank : {0, 1}) {
      BatchLoader loader(reader, {4, false, 0, 2, 1, 2}, rank);
      if (balanced) loader.balance([](int64_t n) { return static_cast<double>(n); });
      result.push_back(loader.step(0).micro_batches.at(0).offsets);
    }
    return result;
  };
  using Offsets = std::vector<std::vector<int64_t>>;
  BOOST_TEST((lengths(false) == Offsets{{0, 10, 40}, {0, 40, 60}}));
  BOOST_TEST((lengths(true) == Offsets{{0, 10, 50}, {0, 30, 50}}));
  std::filesystem::remove(path);
}

// Rows decide which samples come together, never which tokens see which.
BOOST_AUTO_TEST_CASE(samples_of_a_row_stay_documents_of_their_own) {
  const auto path =
      std::filesystem::temp_directory_path() / cat("mtrain-rows-", ::getpid(), ".h5");
  data::TokenStoreWriter writer(path.string(), {data::Stage::kSft, ""});
  const std::vector<data::Sample> samples = {
      {{1, 2, 3}, {kIgnore, 2, 3}}, {{4, 5}, {4, 5}}, {{6, 7, 8}, {6, kIgnore, 8}}};
  for (const auto& sample : samples) {
    writer.append(sample);
    if (sample.input_ids[0] != 1) writer.end_row();
  }
  writer.finish();
  data::TokenStoreReader reader(path.string());
  BOOST_TEST(reader.num_rows() == 2);
  BatchLoader loader(reader, {reader.num_rows(), false, 0, 1, 2, 1}, 0);
  const StepBatch step = loader.step(0);
  BOOST_TEST(step.micro_batches[0].offsets == (std::vector<int64_t>{0, 2, 3}),
             boost::test_tools::per_element());
  int64_t trained = 0;
  for (const auto& micro : step.micro_batches) trained += trained_positions(micro);
  BOOST_TEST(trained == trained_positions(packed(samples)));
  std::filesystem::remove(path);
}

BOOST_AUTO_TEST_CASE(documents_are_padded_to_one_length) {
  const PackedTokens tokens =
      packed({{{1, 2, 3, 4}, {1, kIgnore, 3, 4}}, {{5, 6}, {5, 6}}});
  const PackedTokens found = pad_documents(tokens, {0, 4, 9});
  BOOST_TEST(found.ids == (std::vector<int64_t>{1, 2, 3, 9, 5, 9, 9, 9}));
  BOOST_TEST(found.targets ==
             (std::vector<int64_t>{-100, 3, 4, -100, 6, -100, -100, -100}));
  BOOST_TEST(found.weights == (std::vector<float>{0, 1, 1, 0, 1, 0, 0, 0}));
  BOOST_TEST(found.offsets == (std::vector<int64_t>{0, 4, 8}));
  BOOST_TEST(pad_documents(tokens, {6, 1, 9}).offsets ==
             (std::vector<int64_t>{0, 6, 12}));
}

BOOST_AUTO_TEST_CASE(the_megatron_path_reads_one_token_more) {
  config::Deck deck{};
  deck.data.cutoff_len = 8;
  BOOST_TEST(prepare_options(deck, "tokens.h5").cutoff_len == 8);
  deck.train.compat = config::Compat::kMca;
  BOOST_TEST(prepare_options(deck, "tokens.h5").cutoff_len == 9);
}

BOOST_AUTO_TEST_SUITE_END()
