// What the programs say to bad input, on one rank and on several: which place, which
// value would do, exit code 2, every rank ended, and nothing written.
#define BOOST_TEST_MODULE bad_input
#include <boost/test/unit_test.hpp>
#include <fstream>

#include "mtrain/base/text.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::TinyRun;
using test::Words;
using test::words;
namespace fs = std::filesystem;

namespace {

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

/// Processes that name `folder` on their command line.
int processes_using(const fs::path& folder) {
  int found = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const std::string line = test::read_text(entry.path() / "cmdline");
    found += line.find(folder.string()) != std::string::npos;
  }
  return found;
}

/// Expects exit code 2 and each of `parts` in what it said; the first of them once, not
/// once a rank.
void expect_refused(const test::Outcome& outcome, const Words& parts) {
  const std::string& said = outcome.errors;
  BOOST_CHECK_MESSAGE(outcome.exit_code == 2, "exit code " << outcome.exit_code << ":\n"
                                                           << said);
  for (const auto& part : parts) {
    BOOST_CHECK_MESSAGE(count(said, part) > 0, "no \"" << part << "\" in:\n" << said);
  }
  BOOST_CHECK_MESSAGE(count(said, parts.front()) == 1, "not once \"" << parts.front()
                                                                     << "\" in:\n"
                                                                     << said);
  BOOST_CHECK_MESSAGE(count(said, "error") >= 1 && count(said, "remedy: ") == 1, said);
}

/// Runs `mtrain` and expects it to refuse, having written no file and left no process.
void refused(const TinyRun& run, int ranks, const Words& overrides, const Words& parts) {
  BOOST_TEST_CONTEXT(join(overrides, " ")) {
    const std::string before = test::listing(run.at(""));
    expect_refused(run.run(ranks, overrides), parts);
    BOOST_TEST(test::listing(run.at("")) == before);
    BOOST_TEST(processes_using(run.at("")) == 0);
  }
}

/// "key=" and a place in the folder of the run.
std::string set(const std::string& key, const fs::path& path) {
  return key + "=" + path.string();
}

/// Copies a model with config.json edited: each of `edits` is {text, replacement}.
fs::path edited_model(const TinyRun& run, const std::string& name, const std::string& of,
                      const std::vector<std::pair<std::string, std::string>>& edits) {
  fs::copy(test::golden_model(of), run.at(name));
  std::string config = test::read_text(run.at(name) / "config.json");
  for (const auto& [text, replacement] : edits) {
    const size_t at = config.find(text);
    BOOST_REQUIRE_MESSAGE(at != std::string::npos, text);
    config.replace(at, text.size(), replacement);
  }
  test::write_text(run.at(name) / "config.json", config);
  return run.at(name);
}

void overwrite(const fs::path& path, std::streamoff at, const std::string& bytes) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(at);
  file << bytes;
}

}  // namespace

BOOST_AUTO_TEST_CASE(deck) {
  const TinyRun run("bad-deck");
  refused(run, 1, {"learning_rte=1"},
          {"key learning_rte is unknown", "did you mean learning_rate in [optimizer]?"});
  refused(run, 1, {"adam_beta1=1.5", "max_step=3", "save_steps=-1"},
          {"3 faults in deck", "adam_beta1 = 1.5", "did you mean max_steps",
           "save_steps = -1", "valid value is 0"});
  refused(run, 1, {"finetuning_type=lora"}, {"finetuning_type = lora", "not built yet"});
  const auto deck = run.at("bad.ini");
  test::write_text(deck, "[train]\nstage = pt\nmax_stepz = 3\n");
  const auto outcome = test::run_program("mtrain", 2, {deck.string()});
  expect_refused(outcome, {cat(deck.string(), ":3: key max_stepz"),
                           "did you mean max_steps", "no model is given"});
  expect_refused(test::run_program("mtrain", 1, {run.at("none.ini").string()}),
                 {"cannot open", "none.ini"});
  expect_refused(test::run_program("mtrain", 1, {}), {"no deck is given", "--help"});
  expect_refused(test::run_program("mtrain", 1, {deck.string(), "--chek"}),
                 {"--chek is unknown", "--check"});
}

BOOST_AUTO_TEST_CASE(layout) {
  const TinyRun run("bad-layout");
  refused(run, 3, words("tensor_model_parallel_size=2"),
          {"3 ranks are not a multiple of tensor_model_parallel_size 2",
           "start 2 or 4 ranks"});
  // 3 heads, 3 kv heads and an ffn of 161 on two ranks.
  const auto odd =
      edited_model(run, "odd", "tiny-qwen3",
                   {{"\"num_attention_heads\": 4", "\"num_attention_heads\": 3"},
                    {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"},
                    {"\"intermediate_size\": 160", "\"intermediate_size\": 161"}});
  refused(run, 2,
          {"tensor_model_parallel_size=2",
           "model_name_or_path=", set("model_config", odd / "config.json")},
          {"num_attention_heads = 3", "num_key_value_heads = 3",
           "intermediate_size = 161", "choose a tensor_model_parallel_size of 1"});
  refused(run, 1, words("--check --world-size 3 pipeline_model_parallel_size=3"),
          {"4 layers do not divide over 3", "num_layers_in_first_pipeline_stage"});
  refused(run, 1,
          words("--check --world-size 2 pipeline_model_parallel_size=2 "
                "virtual_pipeline_model_parallel_size=3"),
          {"virtual_pipeline_model_parallel_size: 2 layers do not divide over 3"});
}

BOOST_AUTO_TEST_CASE(config_json) {
  const TinyRun run("bad-config");
  const auto with = [&](const fs::path& model) {
    return Words{set("model_name_or_path", model)};
  };
  refused(run, 2, with(run.at("nowhere")), {"no file", "nowhere/config.json"});
  const auto model = edited_model(run, "model", "tiny-qwen3", {});
  test::write_text(model / "config.json", "{\"model_type\": \"qwen3\",");
  refused(run, 1, with(model), {"model/config.json: not valid JSON"});
  test::write_text(model / "config.json", "{\"model_type\": \"llama\"}");
  refused(run, 1, with(model), {"model_type \"llama\" is not known", "qwen3"});
  const auto faults =
      edited_model(run, "faults", "tiny-qwen3",
                   {{"\"hidden_size\": 64", "\"hidden_size\": -64"},
                    {"\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\""}});
  refused(run, 1, with(faults),
          {"faults/config.json: ", "hidden_size must be a positive integer, not -64",
           "only \"silu\""});
}

BOOST_AUTO_TEST_CASE(weights) {
  const TinyRun run("bad-weights");
  const auto with = [&](const fs::path& model) {
    return Words{set("model_name_or_path", model), "tensor_model_parallel_size=2"};
  };
  const auto model = edited_model(run, "model", "tiny-qwen3", {});
  const auto file = model / "model.safetensors";
  const auto size = fs::file_size(file);
  fs::resize_file(file, size - 1000);
  refused(run, 2, with(model), {"model.safetensors: ", "the file at", "anew"});
  const Words alone = {set("model_name_or_path", model)};
  fs::resize_file(file, 5);
  refused(run, 1, alone, {"model.safetensors: has only 5 bytes"});
  // One bit of the header's length, then one of the header itself.
  const std::string whole =
      test::read_text(test::golden_model("tiny-qwen3") / file.filename());
  test::write_text(file, whole);
  overwrite(file, 2, std::string(1, static_cast<char>(whole[2] ^ 0x40)));
  refused(run, 1, alone, {"model.safetensors: claims a header of"});
  test::write_text(file, whole);
  const auto shape = static_cast<std::streamoff>(whole.find("\"shape\":[") + 9);
  overwrite(file, shape, std::string(1, static_cast<char>(whole[size_t(shape)] ^ 0x01)));
  refused(run, 1, alone, {"model.safetensors: tensor \"", "data_offsets"});
  test::write_text(file, "these are not tensors at all");
  refused(run, 1, alone, {"model.safetensors: claims a header of"});
  fs::remove(file);
  refused(run, 1, alone, {"holds neither model.safetensors nor", "safetensors form"});
  refused(run, 1, {alone[0], "--check"}, {"holds neither model.safetensors nor"});
  // Weights of another model than config.json's.
  fs::copy(test::golden_model("tiny-qwen3"), run.at("other"));
  fs::copy(test::golden_model("tiny-qwen3-untied-bf16") / "config.json",
           run.at("other") / "config.json", fs::copy_options::overwrite_existing);
  refused(run, 1, {set("model_name_or_path", run.at("other"))},
          {"tensors do not fit config.json", "missing: lm_head.weight",
           "of another shape: ", "not part of the model: model.layers.3."});
  fs::copy(test::golden_model("tiny-qwen3-untied-bf16"), run.at("shards"));
  fs::remove(run.at("shards") / "model-00003-of-00004.safetensors");
  refused(run, 1, {set("model_name_or_path", run.at("shards"))},
          {"model-00003-of-00004.safetensors", "all files"});
}

// The ranks read the same files; where only one of them fails, all end all the same.
BOOST_AUTO_TEST_CASE(one_rank_only) {
  const TinyRun run("bad-on-one-rank");
  fs::copy(run.at("tokens.h5"), run.at("cut.h5"));
  fs::resize_file(run.at("cut.h5"), 1000);
  const std::string deck = run.at("deck.ini").string();
  const auto outcome = test::run_programs(
      {{"mtrain", 1, {deck}},
       {"mtrain", 1, {deck, set("tokenized_path", run.at("cut.h5"))}}});
  expect_refused(outcome, {"error: rank 1: ", "cut.h5"});
  BOOST_TEST(!fs::exists(run.at("out") / "model.safetensors"));
  BOOST_TEST(processes_using(run.at("")) == 0);
}

BOOST_AUTO_TEST_CASE(token_store) {
  const TinyRun run("bad-store");
  auto samples = test::random_samples(24, 512);
  const auto write = [&](const std::string& name) {
    test::write_samples(run.at(name), samples);
    return set("tokenized_path", run.at(name));
  };
  refused(run, 2, {set("tokenized_path", run.at("none.h5"))},
          {"tokenized_path: no file", "none.h5", "dataset to make it from"});
  samples[20].input_ids[3] = 512;
  refused(run, 2, {write("beyond.h5")},
          {"token id 512 is beyond the model's vocabulary of 512", "beyond.h5",
           "tokenizer of this model"});
  for (auto& sample : samples)
    for (auto& label : sample.labels) label = data::kIgnoreLabel;
  samples[20].input_ids[3] = 0;
  const std::string masked = write("masked.h5");
  refused(run, 1, {masked}, {"every label is masked", "masked.h5", "check template"});
  refused(run, 1, {masked, "--check"}, {"every label is masked"});
  samples.clear();
  refused(run, 1, {write("empty.h5")}, {"holds no sample", "empty.h5"});
  refused(run, 1, {"stage=sft"},
          {"tokens.h5: the token store was made for another stage than sft"});
  refused(run, 1, {"gradient_accumulation_steps=9"},
          {"one step needs 36 samples", "the dataset has 24", "lower"});
  test::write_text(run.at("foreign.h5"), "this is no HDF5 file");
  refused(run, 1, {set("tokenized_path", run.at("foreign.h5"))},
          {"foreign.h5: not an HDF5 file", "mprep"});
  fs::copy(run.at("tokens.h5"), run.at("short.h5"));
  fs::resize_file(run.at("short.h5"), fs::file_size(run.at("short.h5")) - 64);
  refused(run, 1, {set("tokenized_path", run.at("short.h5"))}, {"short.h5: "});
}

BOOST_AUTO_TEST_CASE(dataset) {
  const TinyRun run("bad-dataset");
  fs::copy(MTRAIN_SOURCE_DIR "/inputs/demo/model", run.at("model"));
  fs::create_directory(run.at("data"));
  const auto data = [&](const std::string& json) {
    test::write_text(run.at("data") / "mine.json", json);
  };
  test::write_text(run.at("data") / "dataset_info.json",
                   "{\"mine\": {\"file_name\": \"mine.json\"}}");
  data("[{\"instruction\": \"Add 1 and 2.\", \"input\": \"\", \"output\": \"3\"}]");
  const Words sft = {"model_name_or_path=",
                     set("model_config", run.at("model") / "config.json"),
                     "tokenized_path=",
                     set("dataset_dir", run.at("data")),
                     "stage=sft",
                     "template=qwen3_nothink",
                     "per_device_train_batch_size=1"};
  const auto with = [&](const std::string& word) {
    Words all = sft;
    all.push_back(word);
    return all;
  };
  refused(run, 1, with("dataset=mien"), {"mien", "mine"});
  data("[]");
  refused(run, 2, with("dataset=mine"), {"mine.json has no record"});
  data("[{\"instruction\": \"Add 1 and 2.\"");
  refused(run, 1, with("dataset=mine"),
          {"mine.json ends within element 1", "a JSON list"});
  data("[{\"instruction\": \"Add 1 and 2.\", \"input\": \"\", \"output\": \"3\"}]");
  const auto tokenizer = run.at("model") / "tokenizer.json";
  test::write_text(tokenizer, "{\"model\": {\"type\": \"WordPiece\"}}");
  refused(run, 1, with("dataset=mine"), {"tokenizer.json: "});
  fs::remove(tokenizer);
  refused(run, 2, with("dataset=mine"),
          {"cannot open", "tokenizer.json: ", "dataset_dir"});
}

BOOST_AUTO_TEST_CASE(output_dir) {
  const TinyRun run("bad-output");
  // A regular file where a folder is needed: refused to root as well.
  test::write_text(run.at("file"), "");
  refused(run, 2, {set("output_dir", run.at("file") / "below")},
          {"output_dir: cannot write to", "file/below", "choose a folder"});
  refused(run, 1, {set("output_dir", run.at("file"))},
          {"output_dir: ", "is not a folder"});
  run.succeed(1, words("max_steps=1 warmup_steps=0"));
  const std::string held = "already holds a training run";
  refused(run, 2, words("resume_from_checkpoint=none"),
          {held, "overwrite_output_dir = true", "resume_from_checkpoint = auto"});
  // Another run's checkpoint does not make this run's folder free.
  fs::copy(run.at("out"), run.at("other"), fs::copy_options::recursive);
  refused(
      run, 1,
      {set("resume_from_checkpoint", run.at("other") / "checkpoint-1"), "warmup_steps=0"},
      {held, "overwrite_output_dir = true"});
  // Not even where it may be overwritten: bad input is found first.
  refused(run, 1, {"overwrite_output_dir=true", set("tokenized_path", run.at("none.h5"))},
          {"tokenized_path: no file"});
  refused(run, 1, {"overwrite_output_dir=true", set("model_name_or_path", run.at("out"))},
          {"out is the model to start from", "choose another folder"});
  fs::remove_all(run.at("out") / "checkpoint-1");
  fs::remove(run.at("out") / "trainer_log.jsonl");
  refused(run, 1, {}, {"out already holds a model", "overwrite_output_dir = true"});
  run.succeed(1, words("max_steps=1 warmup_steps=0 overwrite_output_dir=true"));
}

BOOST_AUTO_TEST_CASE(mconvert_arguments) {
  const TinyRun run("bad-mconvert");
  const std::string model = test::golden_model("tiny-qwen3").string();
  const std::string none = run.at("none").string(), made = run.at("made").string();
  const auto expect = [&](int ranks, const Words& arguments, const Words& parts) {
    BOOST_TEST_CONTEXT(join(arguments, " ")) {
      expect_refused(test::run_program("mconvert", ranks, arguments), parts);
      BOOST_TEST(!fs::exists(made));
    }
  };
  expect(1, {"to-fh", model, made}, {"unknown command \"to-fh\"", "did you mean to-hf?"});
  expect(1, {"to-hf", model}, {"mconvert to-hf takes 2 folders, not 1", "--help"});
  expect(2, {"to-hf", none, made}, {"none: no checkpoint here", "manifest.json"});
  expect(1, {"from-hf", none, made}, {"none/config.json"});
  expect(1, {"to-hf", none, made, "--dtyp", "float32"}, {"--dtyp'", "--help"});
  expect(1, {"from-hf", model, made, "--dtype", "float32"},
         {"mconvert from-hf: --dtype and --max-shard-size are for to-hf only"});
  expect(1, {"verify", model}, {"nothing here that checksums vouch for"});
  expect(1, {"diff", model, none}, {"none: no checkpoint here"});
  const auto made_first = test::run_program("mconvert", 1, {"from-hf", model, made});
  BOOST_REQUIRE_MESSAGE(made_first.exit_code == 0, made_first.output);
  const std::string before = test::listing(run.at(""));
  for (const auto& [arguments, part] : std::vector<std::pair<Words, std::string>>{
           {{"from-hf", model, made}, "made exists already"},
           {{"to-hf", made, none, "--dtype", "int8"}, "--dtype int8 is not known"},
           {{"to-hf", made, none, "--max-shard-size", "5"},
            "--max-shard-size 5 is not a size"}}) {
    expect_refused(test::run_program("mconvert", 1, arguments), {part});
  }
  BOOST_TEST(test::listing(run.at("")) == before);
}

BOOST_AUTO_TEST_CASE(mprep_arguments) {
  const TinyRun run("bad-mprep");
  const auto expect = [&](const Words& arguments, const Words& parts) {
    BOOST_TEST_CONTEXT(join(arguments, " ")) {
      const std::string before = test::listing(run.at(""));
      expect_refused(test::run_program("mprep", 1, arguments), parts);
      BOOST_TEST(test::listing(run.at("")) == before);
    }
  };
  const std::string deck = run.at("deck.ini").string();
  expect({}, {"no deck is given"});
  expect({deck}, {"there is nothing to prepare", "write dataset = NAME"});
  expect({deck, "dataset=mine", "tokenized_path="}, {"no place for the token store"});
  expect({deck, "--check"}, {"--check is unknown"});
  expect({deck, "--show", "one"}, {"--show one"});
}
