// Helpers of the data layer's tests.
#include "fixtures.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <fstream>
#include <memory>

#include "mtrain/base/error.hpp"

namespace mtrain::test {

namespace fs = std::filesystem;
using nlohmann::json;

ScratchFolder::ScratchFolder() {
  std::string pattern = (fs::temp_directory_path() / "mtrain-data-XXXXXX").string();
  BOOST_REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string ScratchFolder::write(const std::string& name,
                                 const std::string& bytes) const {
  std::ofstream(path_ / name, std::ios::binary) << bytes;
  return (path_ / name).string();
}

std::vector<std::string> ScratchFolder::files() const {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path_))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

namespace {

std::string utf8_of(unsigned point) {
  if (point < 0x80) return {static_cast<char>(point)};
  return {static_cast<char>(0xc0 | point >> 6), static_cast<char>(0x80 | (point & 0x3f))};
}

json added_token(int id, const std::string& content, bool special) {
  return {{"id", id},          {"content", content}, {"single_word", false},
          {"lstrip", false},   {"rstrip", false},    {"normalized", false},
          {"special", special}};
}

}  // namespace

json small_tokenizer() {
  json vocabulary;
  int id = 0;
  for (unsigned byte = 0; byte < 256; ++byte)
    if ((byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad))
      vocabulary[utf8_of(byte)] = id++;
  for (unsigned point = 256; id < 256; ++point) vocabulary[utf8_of(point)] = id++;
  json merges;
  for (const char* merge : {"a b", "ab c", "b c", "l o", "lo w", "Ġ a"}) {
    const std::string text = merge;
    const size_t space = text.find(' ');
    merges.push_back(merge);
    vocabulary[text.substr(0, space) + text.substr(space + 1)] = id++;
  }
  json split = {{"type", "Split"}, {"behavior", "Isolated"}, {"invert", false}};
  split["pattern"]["Regex"] =
      R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  const json level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  json tokenizer;
  tokenizer["added_tokens"] = {
      added_token(id, "<|endoftext|>", true), added_token(id + 1, "<|im_start|>", true),
      added_token(id + 2, "<|im_end|>", true), added_token(id + 3, "<think>", false),
      added_token(id + 4, "</think>", false)};
  tokenizer["normalizer"] = {{"type", "NFC"}};
  tokenizer["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, level}}};
  tokenizer["decoder"] = level;
  tokenizer["model"] = {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", merges}};
  return tokenizer;
}

void write_small_tokenizer(const ScratchFolder& folder) {
  folder.write("tokenizer.json", small_tokenizer().dump());
  folder.write("tokenizer_config.json",
               R"({"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})");
}

data::PrepareOptions sft_options(const ScratchFolder& folder,
                                 const std::string& dataset) {
  data::PrepareOptions options{};
  options.stage = data::Stage::kSft;
  options.dataset = {dataset};
  options.dataset_dir = folder.path();
  options.template_name = "qwen3_nothink";
  options.cutoff_len = 2048;
  options.enable_thinking = true;
  options.preprocessing_batch_size = 1000;
  options.preprocessing_num_workers = 1;
  options.tokenizer_dir = folder.path();
  options.seed = 42;
  options.output_path = folder / "tokens.h5";
  options.eval_output_path = folder / "tokens.eval.h5";
  return options;
}

std::string user_error(const std::function<void()>& action) {
  try {
    action();
  } catch (const UserError& error) {
    return std::string(error.what()) + " | " + error.remedy();
  }
  return {};
}

std::string shared_folder() {
  const fs::path folder = fs::path(MTRAIN_SOURCE_DIR) / ".." / "shared";
  if (fs::exists(folder / "llamafactory")) return fs::canonical(folder).string();
  BOOST_TEST_MESSAGE("skipped: ../shared is not there");
  return {};
}

std::vector<json> read_gzipped_lines(const std::string& path) {
  const std::string command = "gzip -dc '" + path + "'";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"),
                                                   ::pclose);
  BOOST_REQUIRE(pipe);
  std::string bytes(1 << 20, '\0'), all;
  while (const size_t got = std::fread(bytes.data(), 1, bytes.size(), pipe.get()))
    all.append(bytes, 0, got);
  std::vector<json> values;
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find('\n', at), all.size());
    if (end > at) values.push_back(json::parse(all.substr(at, end - at)));
    at = end + 1;
  }
  return values;
}

}  // namespace mtrain::test
