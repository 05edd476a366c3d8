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
#include "train/replica_check.hpp"

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

/// A model and the layouts it is trained in.
struct Family {
  const char* model;
  std::vector<Layout> layouts;
};

const std::vector<Family>& families() {
  static const std::vector<Family> all = {
      {"tiny-qwen3",
       {{"", 4},
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
         1}}},
      // Experts whole (etp1) and in slices (etp2, etp4), alone and beside each split of
      // the layers around them.
      {"tiny-qwen3-moe",
       {{"", 4},
        {"expert_model_parallel_size=4 use_distributed_optimizer=true", 4},
        {"expert_model_parallel_size=2", 4},
        {"expert_model_parallel_size=2 use_distributed_optimizer=true", 4},
        {"tensor_model_parallel_size=2 expert_tensor_parallel_size=2 "
         "use_distributed_optimizer=true",
         2},
        {"tensor_model_parallel_size=2 expert_tensor_parallel_size=2 "
         "expert_model_parallel_size=2",
         2},
        {"tensor_model_parallel_size=2 sequence_parallel=true "
         "expert_model_parallel_size=4",
         2},
        {"tensor_model_parallel_size=2 sequence_parallel=true "
         "expert_model_parallel_size=2 use_distributed_optimizer=true",
         2},
        {"tensor_model_parallel_size=4 sequence_parallel=true "
         "expert_tensor_parallel_size=4",
         1},
        {"pipeline_model_parallel_size=2 expert_model_parallel_size=2 "
         "use_distributed_optimizer=true",
         2},
        {"tensor_model_parallel_size=2 sequence_parallel=true "
         "pipeline_model_parallel_size=2 expert_model_parallel_size=2",
         1},
        {"pipeline_model_parallel_size=2 virtual_pipeline_model_parallel_size=2 "
         "use_distributed_optimizer=true",
         2}}}};
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
void write_inputs(const SharedScratch& scratch, const char* model,
                  const Vocabulary& vocabulary) {
  SharedScratch::on_first([&] {
    auto config = nlohmann::json::parse(
        test::read_text(test::golden_dir() / "models" / model / "config.json"));
    config["vocab_size"] = vocabulary.size;
    config["tie_word_embeddings"] = vocabulary.tied;
    // To all experts: where two are as good, rounding decides, and no tolerance holds.
    if (config.contains("num_experts"))
      config["num_experts_per_tok"] = config["num_experts"];
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
                 "dtype=float32",
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

/// Model and optimizer of a deck, with the weights and state of a checkpoint.
struct Loaded {
  Loaded(const config::Deck& deck, const checkpoint::CheckpointReader& reader)
      : description(train::read_model_description(deck.model)),
        grid(train::grid_sizes(deck.parallel, kRanks)),
        groups(comm::make_groups(test::session(), grid, comm::Backend::kMpi)),
        model(description.config->make(
            groups, train::model_options(deck, *description.config, at::kCPU))),
        optimizer(model->buffer(), groups, train::data_parallel_options(deck.parallel),
                  train::adamw_options(deck.optimizer)) {
    train::restore(reader, model->buffer(), optimizer);
  }

  train::ModelDescription description;
  comm::RankGrid grid;
  comm::ProcessGroups groups;
  std::unique_ptr<models::Model> model;
  parallel::Optimizer optimizer;
};

/// Loads a checkpoint into a layout and saves it from there, no step between.
void move(const config::ParsedDeck& parsed, const fs::path& from) {
  const auto& deck = parsed.deck;
  const checkpoint::CheckpointReader reader(from);
  const Loaded loaded(deck, reader);
  SharedScratch::on_first([&] { fs::create_directories(deck.checkpoint.output_dir); });
  train::CheckpointSaver saver(deck.checkpoint, loaded.optimizer, at::kFloat,
                               test::session());
  saver.save(reader.state(), "", {});
  saver.wait();
}

/// Elements of all boxes that the ranks stored.
int64_t stored_elements(const fs::path& folder) {
  const auto manifest = nlohmann::json::parse(test::read_text(folder / "manifest.json"));
  int64_t count = 0;
  for (const auto& file : manifest["files"])
    for (const auto& box : file["boxes"])
      count += parallel::numel(box["extent"].get<parallel::Shape>());
  return count;
}

/// Every tensor of every group has the same bits, and each element is stored once.
void check_same(const fs::path& a, const fs::path& b) {
  const checkpoint::CheckpointReader first(a), second(b);
  BOOST_REQUIRE(first.groups() == second.groups());
  int64_t needed = 0;
  for (const auto& name : first.groups()) {
    for (const auto& info : first.group(name).tensors()) {
      const at::Tensor x = test::whole(first.group(name), info.name);
      const at::Tensor y = test::whole(second.group(name), info.name);
      BOOST_TEST(at::equal(x.view(at::kInt), y.view(at::kInt)), name << " " << info.name);
      needed += x.numel();
    }
  }
  BOOST_TEST(stored_elements(b) == needed);
}

/// Runs the deck, unwatched.
void train_once(const config::ParsedDeck& parsed) {
  watch::Watchdog nobody(test::session(), {0, ""});
  train::run_training(parsed, test::session(), nobody);
}

void check_pair(const SharedScratch& scratch, const std::string& source,
                const Layout& layout) {
  const fs::path saved = scratch / source / cat("checkpoint-", kSavedStep);
  move(deck_of(scratch, layout, "moved", {}), saved);
  SharedScratch::on_first(
      [&] { check_same(saved, scratch / "moved" / cat("checkpoint-", kSavedStep)); });
  const auto parsed = deck_of(scratch, layout, "on",
                              {"resume_from_checkpoint=" + saved.string(),
                               "overwrite_output_dir=true", "save_only_model=true"});
  train_once(parsed);
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

/// Each layout as a source and, from another one, as a target: of the ordered pairs all,
/// or with one of the vocabularies one a source. Returns how many.
size_t check_pairs(const Family& family, size_t vocabulary, bool all) {
  const SharedScratch scratch;
  write_inputs(scratch, family.model, kVocabularies[vocabulary]);
  const auto& layouts = family.layouts;
  size_t pairs = 0;
  for (size_t from = 0; from < layouts.size(); ++from) {
    if (!all && from % std::size(kVocabularies) != vocabulary) continue;
    const std::string source = cat("from-", from);
    train_once(deck_of(scratch, layouts[from], source, {}));
    for (size_t to = 0; to < layouts.size(); ++to) {
      if (to == from || (!all && to != (from + 7) % layouts.size())) continue;
      BOOST_TEST_CONTEXT(family.model << ", vocabulary " << kVocabularies[vocabulary].size
                                      << ", from \"" << layouts[from].keys << "\" to \""
                                      << layouts[to].keys << "\"")
      check_pair(scratch, source, layouts[to]);
      ++pairs;
    }
  }
  return pairs;
}

/// Copies the state twice; all ranks together hold each element once, in the same memory.
void check_snapshot(const parallel::Optimizer& optimizer,
                    const checkpoint::CheckpointReader& reader) {
  train::Snapshot snapshot(optimizer, false, at::kFloat, test::session());
  snapshot.prepare();
  int64_t needed = 0, bytes = 0;
  for (const auto& name : reader.groups())
    for (const auto& info : reader.group(name).tensors())
      needed += 4 * parallel::numel(info.shape);
  for (const auto& text : test::session().all_gather_text(cat(snapshot.bytes())))
    bytes += std::stoll(text);
  BOOST_TEST(bytes == needed);
  const auto places = [&] {
    std::vector<const void*> all;
    for (const auto& piece : snapshot.pieces()) all.push_back(piece.data.data_ptr());
    return all;
  };
  const auto prepared = places();
  for (int save = 0; save < 2; ++save) {
    snapshot.copy();
    BOOST_TEST((places() == prepared));
    for (const auto& piece : snapshot.pieces())
      BOOST_TEST(at::equal(piece.data, reader.group(piece.group).read(piece.box)));
  }
}

/// A bit that flips in the last matrix of the last rank is found where another rank holds
/// that matrix, too, and only there.
void check_divergence(const parallel::ParamBuffer& buffer) {
  const auto& session = test::session();
  const auto& params = buffer.params();
  const auto matrix = std::find_if(params.rbegin(), params.rend(), [](const auto& p) {
    return p->spec.name.ends_with(".down");
  });
  const std::string box = parallel::to_string((*matrix)->spec.boxes.front().box);
  const auto boxes = session.all_gather_text(box);
  const auto holders = std::count(boxes.begin(), boxes.end(), boxes.back());
  const auto compare = [&] {
    return train::diverged(session.all_gather_text(train::weight_checksums(buffer)));
  };
  BOOST_TEST(compare().empty());
  if (session.rank() == kRanks - 1)
    *static_cast<int32_t*>((*matrix)->weight.data_ptr()) ^= 1 << 20;
  const auto lines = compare();
  if (holders == 1) {
    BOOST_TEST(lines.empty());
    return;
  }
  BOOST_REQUIRE(lines.size() == (holders == 2 ? 2u : 1u));
  const std::string named = cat("rank ", kRanks - 1, ": ", boxes.back());
  BOOST_TEST(std::ranges::any_of(
      lines, [&](const std::string& line) { return line.starts_with(named); }));
}

void check_family(const Family& family) {
  log::set_level(log::Level::kError);
  const bool all = std::getenv("MTRAIN_ALL_PAIRS") != nullptr;
  size_t pairs = 0;
  for (size_t v = 0; v < std::size(kVocabularies); ++v)
    pairs += check_pairs(family, v, all);
  BOOST_TEST_MESSAGE(family.model << ": " << pairs << " pairs of layouts");
}

}  // namespace

BOOST_AUTO_TEST_CASE(any_layout_loads_into_any_other) {
  check_family(families().front());
}

BOOST_AUTO_TEST_CASE(any_layout_of_experts_loads_into_any_other) {
  check_family(families().back());
}

// What training waits for, and what it compares.
BOOST_AUTO_TEST_CASE(snapshots_and_replicas_of_each_layout) {
  log::set_level(log::Level::kError);
  for (const Family& family : families()) {
    const SharedScratch scratch;
    write_inputs(scratch, family.model, kVocabularies[1]);
    train_once(deck_of(scratch, family.layouts.back(), "out", {}));
    const checkpoint::CheckpointReader reader(scratch / "out" /
                                              cat("checkpoint-", kSavedStep));
    for (const Layout& layout : family.layouts) {
      const Loaded loaded(deck_of(scratch, layout, "out", {}).deck, reader);
      BOOST_TEST_CONTEXT(layout.keys) {
        check_snapshot(loaded.optimizer, reader);
        check_divergence(loaded.model->buffer());
      }
    }
  }
}
