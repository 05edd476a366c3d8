// A checkpoint of any layout, loaded into any other: the tensors are the same bits, and
// the run goes on with the same losses. MTRAIN_ALL_PAIRS=1: every ordered pair with every
// vocabulary, instead of a sample of them.
#define BOOST_TEST_MODULE layouts
#include <ATen/ATen.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>

#include "mtrain/base/log.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"
#include "mtrain/config/parse.hpp"
#include "mtrain/train/run.hpp"
#include "support/golden.hpp"
#include "support/mpi_main.hpp"
#include "support/run_program.hpp"
#include "train/checkpoint_saver.hpp"
#include "train/layout.hpp"
#include "train/model_files.hpp"

using namespace mtrain;
namespace fs = std::filesystem;
using Words = std::vector<std::string>;

namespace {

constexpr int kRanks = 4, kSavedStep = 3, kSteps = 8, kSamples = 8;
// Relative, in fp32: layouts add the same numbers in another order.
constexpr double kLossTolerance = 2e-5;

struct Layout {
  const char* keys;
  int dp;
};

const std::vector<Layout>& layouts() {
  static const std::vector<Layout> all = {
      {"", 4},
      {"use_distributed_optimizer=true", 4},
      {"tensor_model_parallel_size=2", 2},
      {"tensor_model_parallel_size=2 sequence_parallel=true "
       "use_distributed_optimizer=true",
       2},
      {"tensor_model_parallel_size=4 sequence_parallel=true", 1},
      {"pipeline_model_parallel_size=2 use_distributed_optimizer=true", 2},
      {"pipeline_model_parallel_size=4", 1},
      {"tensor_model_parallel_size=2 pipeline_model_parallel_size=2", 1},
      {"pipeline_model_parallel_size=2 virtual_pipeline_model_parallel_size=2", 2},
      {"tensor_model_parallel_size=2 pipeline_model_parallel_size=2 "
       "virtual_pipeline_model_parallel_size=2 use_distributed_optimizer=true",
       1}};
  return all;
}

struct Vocabulary {
  int size;
  bool tied;
};
constexpr Vocabulary kVocabularies[] = {{17, true}, {127, false}, {771, true}};

/// A folder on rank 0's word, the same on all ranks, removed at the end.
class SharedScratch {
 public:
  SharedScratch()
      : path_(test::session().broadcast_text(
            (fs::temp_directory_path() / cat("mtrain-layouts-", getpid())).string())) {
    on_first([&] {
      fs::remove_all(path_);
      fs::create_directories(path_);
    });
  }
  ~SharedScratch() {
    std::error_code ignored;
    if (test::session().rank() == 0) fs::remove_all(path_, ignored);
  }
  SharedScratch(const SharedScratch&) = delete;
  SharedScratch& operator=(const SharedScratch&) = delete;

  static void on_first(const std::function<void()>& action) {
    test::session().agree([&] {
      if (test::session().rank() == 0) action();
    });
  }
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

/// Model and data of one vocabulary.
void write_inputs(const SharedScratch& scratch, const Vocabulary& vocabulary) {
  SharedScratch::on_first([&] {
    auto config = nlohmann::json::parse(
        test::read_text(test::golden_dir() / "models/tiny-qwen3/config.json"));
    config["vocab_size"] = vocabulary.size;
    config["tie_word_embeddings"] = vocabulary.tied;
    test::write_text(scratch / "config.json", config.dump());
    std::vector<std::vector<int32_t>> rows;
    for (int r = 0; r < 4 * kSamples; ++r) {
      rows.emplace_back();
      for (int i = 0; i < 13; ++i)
        rows.back().push_back((r * r + 7 * i * (r + 1)) % vocabulary.size);
    }
    test::write_store(scratch / "tokens.h5", rows);
  });
}

config::ParsedDeck deck_of(const SharedScratch& scratch, const Layout& layout,
                           const std::string& out, const Words& more) {
  Words words = {"model_config=" + (scratch / "config.json").string(),
                 "tokenized_path=" + (scratch / "tokens.h5").string(),
                 "output_dir=" + (scratch / out).string(),
                 "stage=pt",
                 cat("max_steps=", kSteps),
                 cat("gradient_accumulation_steps=", kSamples / layout.dp),
                 "per_device_train_batch_size=1",
                 "learning_rate=1e-2",
                 "lr_scheduler_type=constant",
                 "weight_decay=0.1",
                 "logging_steps=1",
                 cat("save_steps=", kSavedStep)};
  for (const auto& word : split(layout.keys, ' '))
    if (!word.empty()) words.push_back(word);
  words.insert(words.end(), more.begin(), more.end());
  const auto parsed = config::parse_deck({"layouts", ""}, words, config::Purpose::kTrain);
  config::validate_layout(parsed.deck, kRanks);
  return parsed;
}

/// Losses of the steps behind the saved one, on rank 0.
std::vector<double> losses(const fs::path& out) {
  std::vector<double> result;
  if (test::session().rank() != 0) return result;
  for (const auto& line : test::read_jsonl(out / "trainer_log.jsonl"))
    if (line["current_steps"] > kSavedStep) result.push_back(line["loss"]);
  return result;
}

/// Loads a checkpoint into a layout and saves it from there, no step between.
void move(const config::ParsedDeck& parsed, const fs::path& from) {
  const auto& session = test::session();
  const auto& deck = parsed.deck;
  const auto description = train::read_model_description(deck.model);
  const comm::RankGrid grid(train::grid_sizes(deck.parallel, kRanks));
  const auto groups = comm::make_groups(session, grid, comm::Backend::kMpi);
  const auto model = description.config->make(
      groups, train::model_options(deck, *description.config, at::kCPU));
  parallel::Optimizer optimizer(model->buffer(), groups,
                                train::data_parallel_options(deck.parallel),
                                train::adamw_options(deck.optimizer));
  const checkpoint::CheckpointReader reader(from);
  train::restore(reader, model->buffer(), optimizer);
  SharedScratch::on_first([&] { fs::create_directories(deck.checkpoint.output_dir); });
  train::CheckpointSaver saver(deck.checkpoint, optimizer, at::kFloat, session);
  saver.save(reader.state(), "", {});
  saver.wait();
}

/// Every tensor of every group has the same bits, and was stored by exactly one rank.
void check_same(const fs::path& a, const fs::path& b) {
  const checkpoint::CheckpointReader first(a), second(b);
  BOOST_REQUIRE(first.groups() == second.groups());
  uintmax_t stored = 0, needed = 0;
  for (const auto& name : first.groups()) {
    for (const auto& info : first.group(name).tensors()) {
      const at::Tensor x = test::whole(first.group(name), info.name);
      const at::Tensor y = test::whole(second.group(name), info.name);
      BOOST_TEST(at::equal(x.view(at::kInt), y.view(at::kInt)), name << " " << info.name);
      needed += x.nbytes();
    }
  }
  std::vector<uintmax_t> sizes;
  for (int rank = 0; rank < kRanks; ++rank) {
    sizes.push_back(fs::file_size(b / cat("rank-0000", rank, ".h5")));
    stored += sizes.back();
  }
  BOOST_TEST(static_cast<double>(stored) < 1.3 * static_cast<double>(needed) + 1e6);
}

void check_pair(const SharedScratch& scratch, size_t from, size_t to) {
  const std::string source = cat("from-", from);
  const fs::path saved = scratch / source / cat("checkpoint-", kSavedStep);
  const Layout& layout = layouts()[to];
  move(deck_of(scratch, layout, "moved", {}), saved);
  SharedScratch::on_first(
      [&] { check_same(saved, scratch / "moved" / cat("checkpoint-", kSavedStep)); });
  const auto parsed = deck_of(scratch, layout, "on",
                              {"resume_from_checkpoint=" + saved.string(),
                               "overwrite_output_dir=true", "save_only_model=true"});
  train::run_training(parsed, test::session());
  const auto expected = losses(scratch / source), found = losses(scratch / "on");
  BOOST_REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    BOOST_TEST(std::abs(found[i] / expected[i] - 1) < kLossTolerance,
               found[i] << " instead of " << expected[i]);
  SharedScratch::on_first([&] {
    fs::remove_all(scratch / "moved");
    fs::remove_all(scratch / "on");
  });
}

}  // namespace

BOOST_AUTO_TEST_CASE(any_layout_loads_into_any_other) {
  log::set_level(log::Level::kError);
  const bool all = std::getenv("MTRAIN_ALL_PAIRS") != nullptr;
  size_t pairs = 0;
  for (size_t v = 0; v < std::size(kVocabularies); ++v) {
    const SharedScratch scratch;
    write_inputs(scratch, kVocabularies[v]);
    for (size_t from = 0; from < layouts().size(); ++from) {
      // Each layout is a source once, with one vocabulary, and a target once.
      if (!all && from % std::size(kVocabularies) != v) continue;
      const auto parsed = deck_of(scratch, layouts()[from], cat("from-", from), {});
      train::run_training(parsed, test::session());
      for (size_t to = 0; to < layouts().size(); ++to) {
        if (to == from || (!all && to != (from + 7) % layouts().size())) continue;
        BOOST_TEST_CONTEXT("vocabulary " << kVocabularies[v].size << ", from \""
                                         << layouts()[from].keys << "\" to \""
                                         << layouts()[to].keys << "\"")
        check_pair(scratch, from, to);
        ++pairs;
      }
    }
  }
  BOOST_TEST_MESSAGE(pairs << " pairs of layouts");
}
