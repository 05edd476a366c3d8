// --check, --plan-search and --doctor of the real program.
#define BOOST_TEST_MODULE plan
#include <sys/resource.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>

#include "mtrain/base/text.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
namespace fs = std::filesystem;

namespace {

bool says(const std::string& output, const std::string& part) {
  return output.find(part) != std::string::npos;
}

/// Seconds of a processor that ended programs took so far.
double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// config.json of the published models, as far as it is read.
std::string dense_4b() {
  return R"({"model_type": "qwen3", "vocab_size": 151936, "hidden_size": 2560,
    "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "rope_theta": 5e6,
    "tie_word_embeddings": true, "torch_dtype": "bfloat16"})";
}
std::string experts_30b() {
  return R"({"model_type": "qwen3_moe", "vocab_size": 151936, "hidden_size": 2048,
    "intermediate_size": 6144, "moe_intermediate_size": 768, "num_hidden_layers": 48,
    "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128,
    "num_experts": 128, "num_experts_per_tok": 8, "norm_topk_prob": true,
    "decoder_sparse_step": 1, "mlp_only_layers": [], "rope_theta": 1e7,
    "tie_word_embeddings": false, "torch_dtype": "bfloat16"})";
}

struct Shipped {
  std::string deck, config;
};

test::Outcome plan(const Shipped& shipped, const std::vector<std::string>& flags) {
  const auto folder = test::scratch("plan"), config = folder / "config.json";
  test::write_text(config, shipped.config);
  test::write_example_data(folder);
  std::vector<std::string> words = {
      cat(MTRAIN_SOURCE_DIR "/inputs/", shipped.deck), "model_name_or_path=null",
      "model_config=" + config.string(), "dataset_dir=" + folder.string(),
      "output_dir=" + (folder / "out").string()};
  words.insert(words.end(), flags.begin(), flags.end());
  return test::run_program("mtrain", 1, words);
}

}  // namespace

BOOST_AUTO_TEST_CASE(shipped_decks_are_planned_in_a_moment) {
  for (const Shipped& shipped :
       {Shipped{"qwen3_full.ini", dense_4b()}, Shipped{"qwen3_dpo.ini", dense_4b()},
        Shipped{"qwen3_moe_full.ini", experts_30b()}}) {
    const double before = processor_seconds();
    const auto outcome = plan(shipped, {"--check", "--world-size", "8", "--gpu", "h100"});
    const double seconds = processor_seconds() - before;
    BOOST_TEST(outcome.exit_code == 0, outcome.output);
    BOOST_TEST(says(outcome.output, "on h100 GPUs, estimated: step "), outcome.output);
    BOOST_TEST(says(outcome.output, "it fits"), outcome.output);
    BOOST_TEST(seconds < 1.0, shipped.deck << " took " << seconds << " s");
  }
}

// The batch script stops here, too: it asks for the same check.
BOOST_AUTO_TEST_CASE(what_does_not_fit_is_a_fault) {
  const Shipped shipped{"qwen3_full.ini", dense_4b()};
  const std::vector<std::string> small = {"--check", "--world-size", "8", "--gpu",
                                          "4090:memory=14GiB"};
  const auto refused = plan(shipped, small);
  BOOST_TEST(refused.exit_code == 2, refused.output);
  for (const char* part : {"it does not fit: the fullest rank needs", "--allow-oom",
                           "with this it fits:", "all layouts that fit: mtrain "})
    BOOST_TEST(says(refused.output, part), part << " in\n" << refused.output);
  auto allowed = small;
  allowed.emplace_back("--allow-oom");
  BOOST_TEST(plan(shipped, allowed).exit_code == 0);
  // The keys that the advice ends with.
  const std::string title = "with this it fits:\n";
  const size_t begin = refused.output.find(title) + title.size();
  const std::string line =
      refused.output.substr(begin, refused.output.find('\n', begin) - begin);
  auto mended = small;
  for (const auto& word : split(trim(line), ' ')) mended.push_back(word);
  const auto fits = plan(shipped, mended);
  BOOST_TEST(fits.exit_code == 0, fits.output);
  BOOST_TEST(says(fits.output, ": it fits"), fits.output);
}

// slurm/job.sh asks the GPU of its node, or takes what the job says.
BOOST_AUTO_TEST_CASE(jobs_plan_for_their_own_gpus) {
  const test::TinyRun run("plan-job");
  const fs::path bin = run.at("bin"), log = run.at("log");
  fs::create_directory(bin);
  test::write_text(bin / "nvidia-smi", "#!/bin/sh\necho 3073\n");
  fs::permissions(bin / "nvidia-smi", fs::perms::owner_all);
  const auto job = [&](const std::string& variables) {
    const std::string command = cat(
        "cd '", MTRAIN_SOURCE_DIR, "' && PATH='", bin.string(), ":'\"$PATH\" ", variables,
        " SLURM_NTASKS=1 bash -c 'source slurm/job.sh; mtrain=", MTRAIN_BINARY_DIR,
        "/bin/mtrain; check_deck ", run.at("deck.ini").string(), "' >'", log.string(),
        "' 2>&1");
    return std::system(command.c_str());
  };
  BOOST_TEST(job("") != 0);
  const std::string said = test::read_text(log);
  BOOST_TEST(says(said, "it does not fit"), said);
  BOOST_TEST(says(said, "of 1 MiB usable"), said);
  BOOST_TEST(job("ALLOW_OOM=yes") == 0, test::read_text(log));
  BOOST_TEST(job("GPU=a100") == 0, test::read_text(log));
}

BOOST_AUTO_TEST_CASE(layouts_are_searched) {
  const auto outcome =
      plan({"qwen3_moe_full.ini", experts_30b()}, {"--plan-search", "16"});
  BOOST_TEST(outcome.exit_code == 0, outcome.output);
  BOOST_TEST(says(outcome.output, "layouts for 16 h200 GPUs"), outcome.output);
  BOOST_TEST(says(outcome.output, " ep"), outcome.output);
}

BOOST_AUTO_TEST_CASE(the_doctor_looks_at_everything) {
  const auto outcome = test::run_program("mtrain", 2, {"--doctor"});
  BOOST_TEST(outcome.exit_code == 0, outcome.output);
  for (const char* subject : {"MPI", "libraries", "processor", "memory", "GPU", "disk",
                              "shared files", "links", "healthy"})
    BOOST_TEST(says(outcome.output, subject), subject << ":\n" << outcome.output);
}
