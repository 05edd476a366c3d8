// The pipeline's bubble that --check plans beside the one that traced steps had, on two
// ranks of this machine, which should have nothing else to do.
// OMPI_MCA_btl_vader_single_copy_mechanism=cma bubble_bench (scripts/local_mpirun has
// why)
#include <algorithm>
#include <cstdio>
#include <vector>

#include "mtrain/base/error.hpp"
#include "support/run_program.hpp"

namespace {

using namespace mtrain;
namespace fs = std::filesystem;

struct Case {
  int vocab, layers, chunks, micro_batches;
};

/// Layers alike and a small head; a head worth five layers.
constexpr Case kCases[] = {
    {512, 8, 1, 4}, {512, 8, 1, 8}, {512, 8, 2, 4}, {16384, 8, 1, 4}};

fs::path prepare(const Case& c) {
  const auto dir = test::scratch("bubble-bench");
  test::write_text(dir / "config.json",
                   cat(R"({"model_type": "qwen3", "vocab_size": )", c.vocab,
                       R"(, "hidden_size": 512, "intermediate_size": 1536,
    "num_hidden_layers": )",
                       c.layers, R"(, "num_attention_heads": 8, "num_key_value_heads": 4,
    "head_dim": 64, "rope_theta": 1e6, "tie_word_embeddings": true})"));
  test::write_store(dir / "rows.h5", test::counted_rows(16, 512, c.vocab));
  test::write_text(dir / "deck.ini", "[train]\nstage = pt\n");
  return dir;
}

/// The percentage in front of the first " % of" behind `label`.
double percent_after(const std::string& text, const std::string& label) {
  const size_t at = text.find(label);
  MT_CHECK(at != std::string::npos, label, " is not in ", text);
  return std::stod(text.substr(at + label.size()));
}

std::string mtrain_says(const fs::path& dir, const Case& c, int ranks,
                        const std::vector<std::string>& more) {
  std::vector<std::string> words = {(dir / "deck.ini").string(),
                                    cat("model_config=", (dir / "config.json").string()),
                                    cat("tokenized_path=", (dir / "rows.h5").string()),
                                    cat("output_dir=", (dir / "out").string()),
                                    cat("gradient_accumulation_steps=", c.micro_batches),
                                    "device=cpu",
                                    "cutoff_len=512",
                                    "per_device_train_batch_size=1",
                                    "pipeline_model_parallel_size=2",
                                    "max_steps=6",
                                    "save_steps=0",
                                    "save_only_model=true"};
  if (c.chunks > 1)
    words.push_back(cat("virtual_pipeline_model_parallel_size=", c.chunks));
  words.insert(words.end(), more.begin(), more.end());
  std::filesystem::remove_all(dir / "out");
  const auto outcome = test::run_program("mtrain", ranks, words);
  if (outcome.exit_code != 0) throw Error(outcome.output);
  return outcome.output;
}

void compare(const Case& c) {
  const auto dir = prepare(c);
  const double planned = percent_after(
      mtrain_says(dir, c, 1, {"--check", "--world-size", "2"}), "pipeline bubble ");
  std::vector<double> traced;
  for (const int step : {3, 4, 5})
    traced.push_back(percent_after(mtrain_says(dir, c, 2, {cat("profile_step=", step)}),
                                   "the stages were idle for "));
  std::sort(traced.begin(), traced.end());
  std::printf(
      "vocabulary %5d, %d layers in %d chunks, %d micro-batches: planned %.1f %%, traced "
      "%.1f (%.1f - %.1f) %%\n",
      c.vocab, c.layers, 2 * c.chunks, c.micro_batches, planned, traced[1], traced[0],
      traced[2]);
  std::fflush(stdout);
}

}  // namespace

int main() try {
  for (const Case& c : kCases) compare(c);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "bubble_bench: %s\n", error.what());
  return 1;
}
