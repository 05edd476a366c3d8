// Model folders as users have them: the hub's cache, base models that are trained to
// answer; and what becomes of them.
#define BOOST_TEST_MODULE model_folder
#include <boost/test/unit_test.hpp>
#include <fstream>

#include "mtrain/base/text.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::operator+;
using nlohmann::json;
using test::says;
using test::TinyRun;
using test::Words;
using test::words;
namespace fs = std::filesystem;

namespace {

json json_of(const fs::path& path) {
  return json::parse(test::read_text(path));
}

/// As huggingface_hub leaves a download: files by checksum, and a snapshot of links.
void download(const fs::path& model, const fs::path& cache, const std::string& name) {
  const fs::path home = cache / name;
  for (const char* folder : {"blobs", "refs", "snapshots/c0ffee"})
    fs::create_directories(home / folder);
  test::write_text(home / "refs/main", "c0ffee");
  for (const auto& entry : fs::directory_iterator(model)) {
    const fs::path file = entry.path().filename();
    fs::copy_file(entry.path(), home / "blobs" / file);
    fs::create_symlink("../../blobs" / file, home / "snapshots/c0ffee" / file);
  }
}

/// The demo's model as a base model: nothing in it tells of conversations.
fs::path base_model(const fs::path& folder) {
  const fs::path demo = MTRAIN_SOURCE_DIR "/inputs/demo/model";
  fs::create_directories(folder);
  fs::copy_file(demo / "tokenizer.json", folder / "blob");
  fs::create_symlink("blob", folder / "tokenizer.json");
  json tokens = json_of(demo / "tokenizer_config.json");
  tokens["eos_token"] = "<|endoftext|>";
  tokens.erase("chat_template");
  test::write_text(folder / "tokenizer_config.json", tokens.dump());
  fs::copy_file(demo / "config.json", folder / "config.json");
  return folder / "config.json";
}

test::Outcome mconvert(int ranks, const Words& arguments) {
  return test::run_program("mconvert", ranks, arguments);
}

void flip_last_byte(const fs::path& path) {
  std::string text = test::read_text(path);
  text.back() = static_cast<char>(text.back() ^ 1);
  test::write_text(path, text);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_downloaded_model_is_found_by_its_name) {
  const TinyRun run("hub");
  download(test::golden_model("tiny-qwen3"), run.at("hf/hub"), "models--Org--tiny-1B");
  const Words keys = words("model_name_or_path=Org/tiny-1B max_steps=1 warmup_steps=0");
  const Words home = {"HF_HOME=" + run.at("hf").string()};
  const auto found = run.run(2, keys, home);
  BOOST_REQUIRE_MESSAGE(found.exit_code == 0, found.output);
  BOOST_TEST(says(found.output, "Org/tiny-1B was downloaded to"), found.output);
  const auto checked = run.run(1, keys + words("--check --world-size 1"), home);
  BOOST_TEST(checked.exit_code == 0, checked.output);
  const auto missing = run.run(1, keys, {"HF_HOME=" + run.at("nowhere").string()});
  BOOST_TEST(missing.exit_code == 2);
  BOOST_TEST(says(missing.output, "hf download Org/tiny-1B"), missing.output);
}

BOOST_AUTO_TEST_CASE(an_export_ends_its_answers_and_verifies) {
  const TinyRun run("base-model");
  const fs::path demo = MTRAIN_SOURCE_DIR "/inputs/demo/data", out = run.at("out");
  run.succeed(2, {"model_name_or_path=", "tokenized_path=", "stage=sft",
                  "model_config=" + base_model(run.at("base")).string(),
                  "dataset_dir=" + demo.string(), "dataset=demo_tasks",
                  "template=qwen3_nothink", "max_samples=16", "cutoff_len=64",
                  "max_steps=1", "warmup_steps=0", "save_hf_model=true"});
  const fs::path checkpoint = out / "checkpoint-1";
  const auto converted =
      mconvert(1, {"to-hf", checkpoint.string(), run.at("made").string()});
  BOOST_REQUIRE_MESSAGE(converted.exit_code == 0, converted.output);
  for (const fs::path& folder : {out, checkpoint / "hf", run.at("made")}) {
    const json tokens = json_of(folder / "tokenizer_config.json");
    BOOST_TEST(tokens["eos_token"] == "<|im_end|>");
    BOOST_TEST(tokens.contains("chat_template"));
    BOOST_TEST(fs::is_regular_file(fs::symlink_status(folder / "tokenizer.json")));
    const json ends = json_of(folder / "generation_config.json")["eos_token_id"];
    BOOST_TEST((ends.is_array() ? ends[0] : ends) ==
               json_of(folder / "config.json")["eos_token_id"]);
  }

  const auto sound = mconvert(2, {"verify", out.string()});
  BOOST_TEST(sound.exit_code == 0, sound.output);
  for (const char* part : {"checkpoint-1: every byte", "rank-00001.h5",
                           "checkpoint-1/hf: ", "out: every byte", "model.safetensors",
                           "tokenizer.json", "not read: ", "trainer_log.jsonl"})
    BOOST_TEST(says(sound.output, part), part << " is not in " << sound.output);
  flip_last_byte(out / "model.safetensors");
  flip_last_byte(checkpoint / "hf/tokenizer.json");
  const auto damaged = mconvert(2, {"verify", out.string()});
  BOOST_TEST(damaged.exit_code == 2, damaged.output);
  for (const char* part :
       {"checkpoint-1: every byte", "checkpoint-1/hf: damaged", "out: damaged",
        "out/model.safetensors: ", "hf/tokenizer.json does not match"})
    BOOST_TEST(says(damaged.output, part), part << " is not in " << damaged.output);
}
