// Saving, resuming, exporting and converting with the real programs: an interrupted run
// ends as the uninterrupted one, and weights pass through unchanged.
#define BOOST_TEST_MODULE resume
#include <ATen/ATen.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "mtrain/base/text.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "mtrain/data/token_store.hpp"
#include "support/golden.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::operator+;
using test::says;
using test::TinyRun;
using test::Words;
using test::words;
namespace fs = std::filesystem;

namespace {

// Relative, in fp32; layouts add the same numbers in another order.
constexpr double kLossTolerance = 1e-5, kNormTolerance = 1e-4;

/// The log's lines of steps after `first`, without what depends on the clock.
std::vector<nlohmann::json> figures(const fs::path& output_dir, int64_t first) {
  std::vector<nlohmann::json> kept;
  for (auto line : test::read_jsonl(output_dir / "trainer_log.jsonl")) {
    if (line["current_steps"].get<int64_t>() <= first) continue;
    for (const char* key : {"tokens_per_second", "tflops_per_gpu", "peak_memory_bytes",
                            "seconds_by_phase", "elapsed_time", "remaining_time"})
      line.erase(key);
    kept.push_back(line);
  }
  return kept;
}

void check_close(const std::vector<nlohmann::json>& a,
                 const std::vector<nlohmann::json>& b, double loss, double norm) {
  BOOST_REQUIRE(a.size() == b.size());
  BOOST_REQUIRE(!a.empty());
  const auto difference = [&](size_t i, const char* key) {
    return std::abs(a[i][key].get<double>() / b[i][key].get<double>() - 1);
  };
  for (size_t i = 0; i < a.size(); ++i) {
    BOOST_TEST(a[i]["current_steps"] == b[i]["current_steps"]);
    BOOST_TEST(a[i]["num_tokens"] == b[i]["num_tokens"]);
    BOOST_TEST(difference(i, "loss") <= loss, a[i] << " and " << b[i]);
    BOOST_TEST(difference(i, "grad_norm") <= norm, a[i] << " and " << b[i]);
  }
}

/// Same names, dtypes, shapes and bytes.
void check_same_tensors(const fs::path& a, const fs::path& b) {
  BOOST_TEST_CONTEXT(a << " and " << b) {
    const auto mine = checkpoint::open_safetensors(a);
    const auto theirs = checkpoint::open_safetensors(b);
    BOOST_TEST(mine->tensors().size() == theirs->tensors().size());
    for (const auto& info : theirs->tensors()) {
      BOOST_REQUIRE_MESSAGE(mine->find(info.name), info.name);
      const at::Tensor x = test::whole(*mine, info.name);
      const at::Tensor y = test::whole(*theirs, info.name);
      BOOST_REQUIRE_MESSAGE(x.scalar_type() == y.scalar_type(), info.name);
      BOOST_CHECK_MESSAGE(at::equal(x.view(at::kByte), y.view(at::kByte)), info.name);
    }
  }
}

std::string mconvert(int ranks, const Words& arguments) {
  const auto outcome = test::run_program("mconvert", ranks, arguments);
  BOOST_REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.output);
  return outcome.output;
}

Words into(const fs::path& folder) {
  return {"output_dir=" + folder.string()};
}

Words from(const fs::path& checkpoint) {
  return {"resume_from_checkpoint=" + checkpoint.string()};
}

std::vector<std::string> checkpoints(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("checkpoint-")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

// Two epochs of 6 steps, saved in the middle of the first and of the second.
BOOST_AUTO_TEST_CASE(one_rank) {
  const TinyRun run("resume-one");
  const Words keys = words("max_steps=12 save_steps=5");
  run.succeed(1, keys);
  const auto whole = run.at("out");
  const auto expected = figures(whole, 0);
  BOOST_TEST(expected.size() == 12u);

  // As killed while it wrote a log line and saved step 12.
  const auto cut = run.at("cut");
  fs::copy(whole, cut, fs::copy_options::recursive);
  fs::rename(cut / "checkpoint-12", cut / "checkpoint-12.tmp");
  for (const char* name : {"model.safetensors", "run_summary.json"})
    fs::remove(cut / name);
  const std::string log = test::read_text(cut / "trainer_log.jsonl");
  test::write_text(cut / "trainer_log.jsonl", log.substr(0, log.size() - 40));
  const std::string said = run.succeed(1, keys + into(cut));
  BOOST_TEST(says(said, "resumed from " + (cut / "checkpoint-10").string()), said);
  BOOST_TEST((figures(cut, 0) == expected));
  check_same_tensors(cut, whole);
  BOOST_TEST(!fs::exists(cut / "checkpoint-12.tmp"));

  // Complete: nothing is touched.
  const auto stamp = [&] {
    return test::listing(cut / "checkpoint-12") +
           test::read_text(cut / "run_summary.json") +
           cat(fs::last_write_time(cut / "model.safetensors").time_since_epoch().count());
  };
  const std::string before = stamp();
  const std::string again = run.succeed(1, keys + into(cut));
  BOOST_TEST(says(again, "nothing to train: "), again);
  BOOST_TEST(says(again, "holds step 12 of 12"), again);
  BOOST_TEST(stamp() == before);
  BOOST_TEST((figures(cut, 0) == expected));

  // An older checkpoint by name, into another folder; and in another layout.
  const Words earlier = from(whole / "checkpoint-5");
  run.succeed(1, keys + earlier + into(run.at("named")));
  BOOST_TEST((figures(run.at("named"), 0) == figures(whole, 5)));
  check_same_tensors(run.at("named"), whole);
  run.succeed(4, keys + earlier + into(run.at("split")) +
                     words("tensor_model_parallel_size=2 pipeline_model_parallel_size=2 "
                           "sequence_parallel=true"));
  check_close(figures(run.at("split"), 0), figures(whole, 5), kLossTolerance,
              kNormTolerance);
}

// Saved between two log lines: the next line averages over steps before and after.
BOOST_AUTO_TEST_CASE(four_ranks) {
  const TinyRun run("resume-four");
  const Words keys = words("max_steps=12 save_steps=5 logging_steps=4");
  const Words layout = words(
      "tensor_model_parallel_size=2 use_distributed_optimizer=true "
      "overlap_grad_reduce=true overlap_param_gather=true "
      "per_device_train_batch_size=2");
  run.succeed(4, keys + layout);
  const Words earlier = from(run.at("out") / "checkpoint-5");
  const auto expected = figures(run.at("out"), 5);
  BOOST_TEST(expected.size() == 2u);
  run.succeed(4, keys + layout + earlier + into(run.at("again")));
  BOOST_TEST((figures(run.at("again"), 0) == expected));
  check_same_tensors(run.at("again"), run.at("out"));
  // On into more ranks than there are key/value heads, and from there to one rank.
  run.succeed(4, keys + earlier + into(run.at("tp4")) +
                     words("tensor_model_parallel_size=4 sequence_parallel=true"));
  check_close(figures(run.at("tp4"), 0), expected, kLossTolerance, kNormTolerance);
  run.succeed(1, keys + from(run.at("tp4") / "checkpoint-10") + into(run.at("one")));
  check_close(figures(run.at("one"), 0), figures(run.at("out"), 10), kLossTolerance,
              kNormTolerance);
}

BOOST_AUTO_TEST_CASE(what_is_saved) {
  const TinyRun run("resume-saved");
  run.succeed(1, words("max_steps=6 save_steps=2 save_total_limit=2 save_hf_model=true"));
  BOOST_TEST(checkpoints(run.at("out")) == (Words{"checkpoint-4", "checkpoint-6"}),
             boost::test_tools::per_element());
  check_same_tensors(run.at("out") / "checkpoint-6" / "hf", run.at("out"));
  BOOST_TEST(fs::exists(run.at("out") / "checkpoint-4" / "hf" / "config.json"));
  for (const char* file : {"deck.ini", "manifest.json", "rank-00000.h5"})
    BOOST_TEST(fs::exists(run.at("out") / "checkpoint-4" / file));

  const auto small = run.at("small");
  const Words keys = words("max_steps=6 save_steps=4 save_only_model=true") + into(small);
  run.succeed(1, keys);
  BOOST_TEST(checkpoints(small) == (Words{"checkpoint-4", "checkpoint-6"}),
             boost::test_tools::per_element());
  BOOST_TEST(2 * fs::file_size(small / "checkpoint-4" / "rank-00000.h5") <
             fs::file_size(run.at("out") / "checkpoint-4" / "rank-00000.h5"));
  mconvert(1, {"to-hf", small.string(), run.at("hf").string()});
  check_same_tensors(run.at("hf"), run.at("out"));
  // Complete, so there is nothing to resume; unfinished, it cannot be.
  BOOST_TEST(says(run.succeed(1, keys), "nothing to train: "));
  const auto outcome = run.run(1, keys + from(small / "checkpoint-4"));
  BOOST_TEST(outcome.exit_code == 2, outcome.output);
  BOOST_TEST(says(outcome.output, "holds weights only, no optimizer state"));
}

// The bytes of the weights, through each way in and out.
BOOST_AUTO_TEST_CASE(hugging_face_round_trip) {
  for (const char* name : {"tiny-qwen3", "tiny-qwen3-untied-bf16", "tiny-qwen3-policy"}) {
    const TinyRun run(cat("round-trip-", name));
    const auto model = test::golden_model(name);
    for (const int ranks : {1, 2}) {
      const auto made = run.at(cat("made-", ranks)), back = run.at(cat("back-", ranks));
      mconvert(ranks, {"from-hf", model.string(), made.string()});
      mconvert(ranks, {"to-hf", made.string(), back.string()});
      check_same_tensors(back, model);
      mconvert(ranks, {"verify", made.string()});
      const auto differences = mconvert(ranks, {"diff", made.string(), model.string()});
      BOOST_TEST(differences.find("differs") == std::string::npos, differences);
    }
    // Trained with no step, from the folder and from the checkpoint.
    const Words keys = {"model_name_or_path=" + model.string()};
    run.succeed(1, keys + words("max_steps=0"));
    check_same_tensors(run.at("out"), model);
    run.succeed(2, keys + from(run.at("made-1")) + into(run.at("unmoved")) +
                       words("max_steps=2 learning_rate=0 weight_decay=0 "
                             "tensor_model_parallel_size=2"));
    check_same_tensors(run.at("unmoved"), model);
  }
}

// bf16: the path of a logit passes about 9 roundings of the residual stream of three
// layers, norm and head, each of standard deviation 2^-9 / sqrt(3): together 0.0034 of
// logits of size 3, so 0.01 a token. Two runs that round apart, averaged over the N
// tokens of a step: 0.01 * sqrt(2 / N), of which four times is allowed; and the sum of
// squares of all gradients keeps four times 0.0034 * sqrt(2) of its root.
BOOST_AUTO_TEST_CASE(bfloat16) {
  const TinyRun run("resume-bf16");
  const Words keys = words("max_steps=6 save_steps=3 dtype=bfloat16") +
                     Words{"model_name_or_path=" +
                           test::golden_model("tiny-qwen3-untied-bf16").string()};
  run.succeed(1, keys);
  const auto expected = figures(run.at("out"), 0);
  run.succeed(4,
              keys + into(run.at("split")) +
                  words("tensor_model_parallel_size=2 sequence_parallel=true "
                        "use_distributed_optimizer=true per_device_train_batch_size=2"));
  const double tokens = expected.back()["num_tokens"].get<double>() / 6;
  const double first_loss = expected.front()["loss"];
  check_close(figures(run.at("split"), 0), expected,
              4 * 0.01 * std::sqrt(2 / tokens) / first_loss, 4 * 0.0034 * std::sqrt(2));
  run.succeed(1, keys + from(run.at("out") / "checkpoint-3") + into(run.at("again")));
  BOOST_TEST((figures(run.at("again"), 0) == figures(run.at("out"), 3)));
  check_same_tensors(run.at("again"), run.at("out"));
}

// From an alpaca file to an exported model, on two ranks.
BOOST_AUTO_TEST_CASE(supervised_fine_tuning) {
  const TinyRun run("run-sft");
  const fs::path demo = MTRAIN_SOURCE_DIR "/inputs/demo/model";
  test::write_text(run.at("dataset_info.json"),
                   "{\"mine\": {\"file_name\": \"mine.json\"}}");
  nlohmann::json records;
  for (int i = 0; i < 8; ++i) {
    records.push_back({{"instruction", "Which number comes next?"},
                       {"input", cat(i)},
                       {"output", cat(i + 1)}});
  }
  test::write_text(run.at("mine.json"), records.dump());
  const Words data = {"model_name_or_path=",
                      cat("model_config=", (demo / "config.json").string()),
                      cat("dataset_dir=", run.at("").string()),
                      "dataset=mine",
                      "stage=sft",
                      "template=qwen3_nothink",
                      "cutoff_len=64"};
  run.succeed(2, data + words("tokenized_path= max_steps=12 learning_rate=3e-3 "
                              "per_device_train_batch_size=4"));
  const auto log = figures(run.at("out"), 0);
  BOOST_REQUIRE(log.size() == 12u);
  BOOST_TEST(log.back()["loss"].get<double>() < 0.5 * log.front()["loss"].get<double>());
  for (const char* file : {"tokenizer.json", "tokenizer_config.json"})
    BOOST_TEST(test::read_text(run.at("out") / file) == test::read_text(demo / file));
  const auto summary =
      nlohmann::json::parse(test::read_text(run.at("out") / "run_summary.json"));
  BOOST_TEST(summary["result"] == "ok");
  BOOST_TEST(summary["num_tokens"] == log.back()["num_tokens"]);

  // mprep makes the same store, and shows what is in it.
  Words arguments = Words{run.at("deck.ini").string()} + data;
  arguments = arguments +
              Words{cat("tokenized_path=", run.at("mine.h5").string()), "--show", "0"};
  const auto shown = test::run_program("mprep", 1, arguments);
  BOOST_REQUIRE_MESSAGE(shown.exit_code == 0, shown.output);
  BOOST_TEST(says(shown.output, "next"), shown.output);
  const data::TokenStoreReader mine(run.at("mine.h5").string());
  const data::TokenStoreReader theirs((run.at("out") / "tokens.h5").string());
  BOOST_REQUIRE(mine.num_samples() == 8);
  for (int64_t i = 0; i < 8; ++i) {
    BOOST_TEST(mine.read(i).input_ids == theirs.read(i).input_ids);
    BOOST_TEST(mine.read(i).labels == theirs.read(i).labels);
  }
}
