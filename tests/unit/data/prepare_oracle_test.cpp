// Every case of the dataset oracle that needs only what is built: same samples, ids and
// labels.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <set>

#include "fixtures.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/text.hpp"
#include "mtrain/data/prepare.hpp"
#include "mtrain/data/token_store.hpp"

using namespace mtrain;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

json read_json(const fs::path& path) {
  std::ifstream file(path);
  return json::parse(file);
}

// Why a case can't be run yet; "" for one that can.
std::string missing_feature(const json& example, const json& dataset_info) {
  const json& args = example.at("args");
  if (example.at("stage") == "dpo") return "stage dpo";
  if (!example.at("processor").is_null()) return "images";
  const std::set<std::string> known = {"dataset",
                                       "template",
                                       "cutoff_len",
                                       "max_samples",
                                       "packing",
                                       "train_on_prompt",
                                       "mask_history",
                                       "enable_thinking",
                                       "default_system",
                                       "preserve_thinking",
                                       "preprocessing_batch_size"};
  for (const auto& [key, value] : args.items())
    if (!known.contains(key)) return key;
  const bool sft = example.at("stage") == "sft";
  if (sft && args.at("template").is_null()) return "template from the chat template";
  if (sft && args.value("packing", false)) return "packing for sft";
  for (const auto& name : split(args.at("dataset").get<std::string>(), ',')) {
    const json& entry = dataset_info.at(name);
    if (entry.value("formatting", "alpaca") != "alpaca") return entry.at("formatting");
    if (entry.contains("num_samples")) return "num_samples";
  }
  return "";
}

// The tokenizer folder of a case: its tokenizer.json beside the config it names.
void link_tokenizer(const fs::path& shared, const json& example, const fs::path& folder) {
  const fs::path source =
      shared / "tokenizers" / example.at("tokenizer").get<std::string>();
  fs::create_symlink(source / "tokenizer.json", folder / "tokenizer.json");
  fs::create_symlink(source / example.at("tokenizer_config").get<std::string>(),
                     folder / "tokenizer_config.json");
}

template <class T>
std::optional<T> optional_arg(const json& args, const char* key) {
  if (!args.contains(key) || args.at(key).is_null()) return std::nullopt;
  return args.at(key).get<T>();
}

data::PrepareOptions options_of(const fs::path& shared, const json& example,
                                const test::ScratchFolder& folder) {
  const json& args = example.at("args");
  data::PrepareOptions options = test::sft_options(folder, "");
  options.stage = example.at("stage") == "pt" ? data::Stage::kPt : data::Stage::kSft;
  options.dataset = split(args.at("dataset").get<std::string>(), ',');
  options.dataset_dir =
      (shared / "llamafactory" / example.at("dataset_dir").get<std::string>()).string();
  options.template_name = optional_arg<std::string>(args, "template").value_or("");
  options.cutoff_len = args.at("cutoff_len");
  options.max_samples = optional_arg<int64_t>(args, "max_samples");
  options.packing = optional_arg<bool>(args, "packing");
  options.train_on_prompt = args.value("train_on_prompt", false);
  options.mask_history = args.value("mask_history", false);
  options.preserve_thinking = args.value("preserve_thinking", false);
  if (args.contains("enable_thinking"))
    options.enable_thinking = optional_arg<bool>(args, "enable_thinking");
  options.default_system = optional_arg<std::string>(args, "default_system");
  options.preprocessing_batch_size = args.value("preprocessing_batch_size", 1000);
  return options;
}

void run_case(const fs::path& shared, const fs::path& directory, const json& example) {
  const test::ScratchFolder folder;
  link_tokenizer(shared, example, folder.path());
  const auto options = options_of(shared, example, folder);
  const data::PrepareStats stats = data::prepare(options);
  const auto expected = test::read_gzipped_lines((directory / "data.jsonl.gz").string());
  BOOST_TEST(stats.samples == static_cast<int64_t>(expected.size()));
  if (example.contains("dropped"))
    BOOST_TEST(stats.dropped == static_cast<int64_t>(example.at("dropped").size()));
  const data::TokenStoreReader store(options.output_path);
  BOOST_REQUIRE(store.num_samples() == static_cast<int64_t>(expected.size()));
  for (int64_t i = 0; i < store.num_samples(); ++i) {
    const data::Sample sample = store.read(i);
    const json& wanted = expected[static_cast<size_t>(i)];
    const bool same =
        sample.input_ids == wanted.at("input_ids").get<std::vector<int32_t>>() &&
        sample.labels == wanted.at("labels").get<std::vector<int32_t>>();
    BOOST_TEST(same, example.at("id") << " sample " << i);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(samples_are_those_of_the_reference) {
  const fs::path shared = test::shared_folder();
  if (shared.empty()) return;
  std::vector<fs::path> directories;
  for (const auto& entry : fs::directory_iterator(shared / "llamafactory" / "cases"))
    directories.push_back(entry.path());
  std::sort(directories.begin(), directories.end());
  int run = 0;
  for (const auto& directory : directories) {
    const json example = read_json(directory / "case.json");
    const json info =
        read_json(shared / "llamafactory" / example.at("dataset_dir").get<std::string>() /
                  "dataset_info.json");
    const std::string missing = missing_feature(example, info);
    if (!missing.empty()) {
      BOOST_TEST_MESSAGE("not run, needs " << missing << ": " << example.at("id"));
      continue;
    }
    BOOST_TEST_CONTEXT(example.at("id")) {
      run_case(shared, directory, example);
    }
    ++run;
  }
  BOOST_TEST_MESSAGE(run << " of " << directories.size() << " cases run");
  BOOST_TEST(run >= 35);
}
