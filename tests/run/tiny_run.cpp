// Owns the small run that the tests of the programs vary.
#include "tiny_run.hpp"

#include <algorithm>
#include <random>

#include "mtrain/base/error.hpp"
#include "mtrain/data/token_store.hpp"
#include "support/golden.hpp"

namespace mtrain::test {

namespace fs = std::filesystem;

Words words(const std::string& text) {
  Words result;
  for (auto& word : split(text, ' ')) {
    if (!word.empty()) result.push_back(word);
  }
  return result;
}

fs::path golden_model(const std::string& name) {
  return golden_dir() / "models" / name;
}

std::vector<data::Sample> random_samples(int count, int vocab) {
  std::mt19937 random(7);
  const auto below = [&](int bound) {
    return static_cast<int32_t>(random() % static_cast<unsigned>(bound));
  };
  std::vector<data::Sample> samples;
  for (int i = 0; i < count; ++i) {
    std::vector<int32_t> ids(static_cast<size_t>(9 + below(9)));
    for (auto& id : ids) id = below(vocab);
    samples.push_back({ids, ids});
  }
  return samples;
}

void write_example_data(const fs::path& folder) {
  for (const char* file : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy(fs::path(MTRAIN_SOURCE_DIR) / "inputs/demo/model" / file, folder);
  nlohmann::json tasks, pairs;
  for (int i = 0; i < 40; ++i) {
    const std::string question = cat("Add ", i, " and 2."), answer = cat(i + 2);
    tasks.push_back({{"instruction", question}, {"input", ""}, {"output", answer}});
    pairs.push_back({{"question", question}, {"good", answer}, {"bad", cat(i)}});
  }
  write_text(folder / "tasks.json", tasks.dump());
  write_text(folder / "pairs.json", pairs.dump());
  const nlohmann::json plain = {{"file_name", "tasks.json"}};
  const nlohmann::json ranking = {
      {"file_name", "pairs.json"},
      {"ranking", true},
      {"columns", {{"prompt", "question"}, {"chosen", "good"}, {"rejected", "bad"}}}};
  write_text(folder / "dataset_info.json",
             nlohmann::json{
                 {"identity", plain}, {"alpaca_en_demo", plain}, {"dpo_en_demo", ranking}}
                 .dump());
}

void write_samples(const fs::path& path, const std::vector<data::Sample>& samples) {
  data::TokenStoreWriter writer(path.string(), {data::Stage::kPt, ""});
  for (const auto& sample : samples) writer.append(sample);
  writer.finish();
}

TinyRun::TinyRun(const std::string& name) : dir_(scratch(name)) {
  write_samples(at("tokens.h5"), random_samples(24, 512));
  write_text(at("deck.ini"),
             cat("[model]\nmodel_name_or_path = ", golden_model("tiny-qwen3").string(),
                 "\n[data]\ntokenized_path = ", at("tokens.h5").string(),
                 "\n[train]\nstage = pt\nmax_steps = 2\n"
                 "per_device_train_batch_size = 4\n"
                 "[optimizer]\nlearning_rate = 1e-3\nweight_decay = 0.1\n"
                 "lr_scheduler_type = cosine\nwarmup_steps = 2\n"
                 "[checkpoint]\noutput_dir = ",
                 at("out").string(), "\nsave_steps = 0\n[log]\nlogging_steps = 1\n"));
}

Outcome TinyRun::run(int ranks, const Words& overrides) const {
  return run(ranks, overrides, {});
}

Outcome TinyRun::run(int ranks, const Words& overrides, const Words& environment) const {
  Words arguments = overrides;
  arguments.insert(arguments.begin(), at("deck.ini").string());
  return run_program("mtrain", ranks, arguments, environment);
}

std::string TinyRun::succeed(int ranks, const Words& overrides) const {
  const Outcome outcome = run(ranks, overrides);
  MT_CHECK(outcome.exit_code == 0, "mtrain ", join(overrides, " "), " on ", ranks,
           " ranks ended with ", outcome.exit_code, ":\n", outcome.output);
  return outcome.output;
}

std::string listing(const fs::path& folder) {
  Words lines;
  std::error_code missing;
  for (const auto& entry : fs::recursive_directory_iterator(folder, missing)) {
    if (!entry.is_regular_file()) continue;
    lines.push_back(cat(entry.path().string(), " ", entry.file_size(), " ",
                        entry.last_write_time().time_since_epoch().count(), "\n"));
  }
  std::sort(lines.begin(), lines.end());
  return join(lines, "");
}

}  // namespace mtrain::test
