// Fuzz targets of token stores, tokenizers and records of datasets.
#include <fstream>

#include "data/dataset.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/json.hpp"
#include "mtrain/data/token_store.hpp"
#include "mtrain/data/tokenizer.hpp"
#include "targets.hpp"
#include "unit/data/fixtures.hpp"

namespace mtrain::test {
namespace {

using namespace mtrain::data;

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string own_store() {
  const std::string path = fuzz_folder() + "/own.h5";
  TokenStoreWriter writer(path, {Stage::kSft, "hash"});
  for (const int32_t id : {1, 2, 3}) {
    writer.append({{id, id, 7}, {kIgnoreLabel, id, 7}});
    writer.end_row();
  }
  writer.finish();
  return bytes_of(path);
}

/// A store of our own, and one that h5py wrote with libver="latest".
Target store_target() {
  return {"store",
          {own_store(), bytes_of(MTRAIN_SOURCE_DIR "/tests/unit/storage/h5py_latest.h5")},
          [](const std::string& bytes) {
            const std::string path = fuzz_folder() + "/store.h5";
            overwrite(path, bytes);
            const TokenStoreReader store(path);
            store.scan();
            for (int64_t i = 0; i < store.num_samples(); ++i) store.read(i);
            for (int64_t r = 0; r < store.num_rows(); ++r) store.row_samples(r);
          }};
}

void use_tokenizer() {
  const Tokenizer tokenizer = Tokenizer::load(fuzz_folder());
  std::vector<int32_t> ids;
  tokenizer.encode_append("low a\u00e9 <|im_end|>\n 12 abc\x01", ids);
  tokenizer.decode(ids, SpecialTokens::kKeep);
}

std::string tokenizer_config() {
  nlohmann::json config = {
      {"eos_token", "<|im_end|>"},
      {"pad_token", {{"content", "<|endoftext|>"}}},
      {"chat_template", "{% for m in messages %}{{ m }}{% endfor %}"}};
  const nlohmann::json tokenizer = small_tokenizer();
  for (const auto& token : tokenizer.at("added_tokens")) {
    nlohmann::json entry = token;
    entry.erase("id");
    config["added_tokens_decoder"][token.at("id").dump()] = entry;
  }
  return config.dump();
}

/// tokenizer.json or tokenizer_config.json, the other one being sound.
Target tokenizer_target(const std::string& name, const std::string& file) {
  const auto sound = [](const std::string& of) {
    return of == "tokenizer.json" ? small_tokenizer().dump() : tokenizer_config();
  };
  return {name, {sound(file)}, [=](const std::string& bytes) {
            for (const char* each : {"tokenizer.json", "tokenizer_config.json"})
              overwrite(fuzz_folder() + "/" + each, each == file ? bytes : sound(each));
            use_tokenizer();
          }};
}

/// Reads each record of a dataset whose one file holds the bytes.
Target records_target(const std::string& name, const std::string& file,
                      const DatasetEntry& form, const std::vector<std::string>& seeds) {
  return {name, seeds, [=](const std::string& bytes) {
            const std::string path = fuzz_folder() + "/" + file;
            overwrite(path, bytes);
            DatasetEntry entry = form;
            entry.paths = {path};
            const Dataset dataset(entry);
            ColumnFacts facts;
            for (int64_t i = 0; i < dataset.size(); ++i) {
              dataset.place(i);
              try {
                dataset.read(i, facts);
              } catch (const RecordFault&) {
              }
            }
            dataset.check_columns(facts);
          }};
}

DatasetEntry alpaca(const std::string& history) {
  DatasetEntry entry;
  entry.name = "set";
  entry.columns.history = history;
  return entry;
}

DatasetEntry conversations(Formatting formatting) {
  DatasetEntry entry;
  entry.name = "set";
  entry.formatting = formatting;
  entry.columns.messages = "m";
  entry.columns.system = "s";
  entry.columns.tools = "t";
  if (formatting != Formatting::kOpenai) return entry;
  entry.columns.system = "";
  entry.tags = {"role", "content", "user", "assistant", "tool", "f", "system"};
  return entry;
}

const char kAlpaca[] =
    R"({"instruction":"a","input":"b","output":"x","history":[["q","r"]]})";
const char kSharegpt[] =
    R"([{"s": "be", "t": "[{\"name\": \"f\", \"parameters\": {}}]",
"m": [{"from": "human", "value": "a"}, {"from": "function_call",
"value": "{\"name\": \"f\", \"arguments\": {\"x\": 1e40}}"},
{"from": "observation", "value": "1"}, {"from": "gpt", "value": "<think>\nx"}]}])";
const char kOpenai[] =
    R"([{"t": [{"type": "function"}], "m": [{"role": "system", "content": "s"},
{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "tool_calls":
[{"function": {"name": "f", "arguments": {"x": [1, 2.5, null]}}}]},
{"role": "tool", "content": "1"}, {"role": "assistant", "content": "x"}]}])";
const char kCsv[] = "instruction,input,output,n\na,\"b,\n\"\"c\",1,NA\r\n\nd,,x,-2.5e3\n";

std::vector<Target> make_targets() {
  const std::string alpaca_line = kAlpaca;
  return {store_target(),
          tokenizer_target("tokenizer", "tokenizer.json"),
          tokenizer_target("tokenizer_config", "tokenizer_config.json"),
          records_target("records_json", "set.json", alpaca("history"),
                         {"[" + alpaca_line + "]"}),
          records_target("records_jsonl", "set.jsonl", alpaca("history"),
                         {alpaca_line + "\n" + alpaca_line + "\n"}),
          records_target("records_csv", "set.csv", alpaca(""), {kCsv}),
          records_target("records_sharegpt", "set.json",
                         conversations(Formatting::kSharegpt), {kSharegpt}),
          records_target("records_openai", "set.json", conversations(Formatting::kOpenai),
                         {kOpenai})};
}

}  // namespace

const std::vector<Target>& all_targets() {
  static const std::vector<Target> targets = make_targets();
  return targets;
}

}  // namespace mtrain::test
