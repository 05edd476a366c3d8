// Conversion, copying of small files, inspect and diff.
#include "mtrain/checkpoint/convert.hpp"

#include <cmath>
#include <limits>

#include "mtrain/base/file.hpp"
#include "mtrain/checkpoint/inspect.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "saved.hpp"

using namespace mtrain;
using namespace mtrain::checkpoint;
using namespace mtrain::checkpoint::test;

namespace {

/// Keeps tensors in memory.
class MemorySource : public TensorSource {
 public:
  explicit MemorySource(std::vector<std::pair<std::string, at::Tensor>> tensors)
      : values_(std::move(tensors)) {
    for (const auto& [name, value] : values_)
      infos_.push_back({name, value.sizes().vec(), value.scalar_type()});
  }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  const TensorInfo* find(const std::string& name) const override {
    for (const TensorInfo& info : infos_)
      if (info.name == name) return &info;
    return nullptr;
  }
  at::Tensor read(const Box& box) const override {
    largest = std::max(largest, box.size());
    for (const auto& [name, value] : values_)
      if (name == box.tensor) return slice(value, box);
    throw UserError("none");
  }
  mutable int64_t largest = 0;

 private:
  std::vector<std::pair<std::string, at::Tensor>> values_;
  std::vector<TensorInfo> infos_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(conversion)

BOOST_AUTO_TEST_CASE(hf_to_checkpoint_to_hf_is_byte_identical) {
  for (const char* name : {"tiny-qwen3", "tiny-qwen3-untied-bf16", "tiny-qwen3-policy"}) {
    const Scratch scratch;
    const auto source = open_safetensors(golden_model(name));
    std::vector<std::string> summaries;
    for (int rank = 0; rank < 3; ++rank) {
      CheckpointWriter writer(scratch, 0, rank, 3);
      convert(*source, source->tensors(), {rank, 3, 5000, {}},
              [&](const Box& box, const at::Tensor& data) {
                writer.write({{kWeightsGroup, box, data}});
              });
      summaries.push_back(writer.finish());
    }
    const CheckpointReader reader(commit(scratch, 0, summaries, sample_state(0, 3), ""));
    const TensorSource& stored = reader.group(kWeightsGroup);
    auto writer = SafetensorsWriter::create(scratch / "hf", stored.tensors(), 1 << 30);
    convert(stored, stored.tensors(), {0, 1, 3000, {}},
            [&](const Box& box, const at::Tensor& data) { writer.write(box, data); });
    writer.finish();
    const auto back = open_safetensors(scratch / "hf");
    BOOST_TEST(back->tensors().size() == source->tensors().size());
    for (const TensorInfo& info : source->tensors())
      BOOST_TEST(same_bytes(back->read(all_of(info.name, info.shape)),
                            source->read(all_of(info.name, info.shape))));
  }
}

BOOST_AUTO_TEST_CASE(casts_round_to_nearest_even_and_memory_is_bounded) {
  const at::Tensor values =
      at::tensor({1.0F, 1.00390625F, 1.01171875F, -3.0e38F, 1.0e-40F});
  const MemorySource source({{"v", values.repeat({40})}});
  std::vector<float> got;
  convert(source, {{"v", {200}, at::kBFloat16}}, {0, 1, 64, {}},
          [&](const Box& box, const at::Tensor& data) {
            BOOST_TEST((data.scalar_type() == at::kBFloat16));
            BOOST_TEST(box.offset[0] == static_cast<int64_t>(got.size()));
            for (int64_t i = 0; i < data.numel(); ++i)
              got.push_back(data[i].item<float>());
          });
  BOOST_TEST(source.largest == 16);  // 64 bytes of float32
  BOOST_REQUIRE(got.size() == 200);
  BOOST_TEST(got[0] == 1.0F);
  BOOST_TEST(got[1] == 1.0F);       // a tie: to even
  BOOST_TEST(got[2] == 1.015625F);  // a tie: to even, upwards
}

BOOST_AUTO_TEST_CASE(ranks_share_every_chunk_once_and_progress_reaches_the_end) {
  const MemorySource source({{"a", at::zeros({7, 3})}, {"b", at::zeros({5})}});
  int64_t elements = 0, last = 0, all = 1;
  for (int rank = 0; rank < 4; ++rank)
    convert(source, source.tensors(),
            {rank, 4, 16, [&](int64_t done, int64_t total) { last = done, all = total; }},
            [&](const Box& box, const at::Tensor&) { elements += box.size(); });
  BOOST_TEST(elements == 26);
  BOOST_TEST(last == all);
  BOOST_TEST(all == 26 * 4);
}

BOOST_AUTO_TEST_CASE(all_that_does_not_fit_is_listed_before_anything_is_read) {
  const MemorySource source({{"a", at::zeros({7, 3})}});
  refuses<UserError>(
      [&] {
        convert(source, {{"a", {7, 4}, at::kFloat}, {"b", {1}, at::kFloat}},
                {0, 1, 100, {}},
                [](const Box&, const at::Tensor&) { BOOST_ERROR("called"); });
      },
      {"\"a\"", "[7, 3]", "[7, 4]", "\"b\" is missing"});
  BOOST_TEST(source.largest == 0);
}

BOOST_AUTO_TEST_CASE(tokenizer_files_are_copied_where_present) {
  const Scratch scratch;
  for (const char* folder : {"from", "to"}) fs::create_directory(scratch / folder);
  write_file(scratch / "from/tokenizer.json", "{}");
  write_file(scratch / "from/merges.txt", std::string(100'000, 'm'));
  write_file(scratch / "from/chat_template.jinja", "{{ x }}");
  write_file(scratch / "from/other.txt", "no");
  write_file(scratch / "to/merges.txt", "old");
  const auto copied = copy_tokenizer_files(scratch / "from", scratch / "to");
  BOOST_TEST((copied == std::vector<std::string>{"tokenizer.json", "merges.txt",
                                                 "chat_template.jinja"}));
  for (const std::string& name : copied)
    BOOST_TEST((read_file(scratch / "to" / name) == read_file(scratch / "from" / name)));
  BOOST_TEST(!fs::exists(scratch / "to/other.txt"));
  BOOST_TEST(copy_tokenizer_files(scratch / "to", scratch / "to").empty());
  fs::create_symlink("/etc/passwd", scratch / "from/vocab.json");
  refuses<UserError>([&] { copy_tokenizer_files(scratch / "from", scratch / "to"); },
                     {"vocab.json", "symbolic link"});
}

BOOST_AUTO_TEST_CASE(files_written_atomically_replace_links_not_their_targets) {
  const Scratch scratch;
  write_file(scratch / "precious", "keep me");
  fs::create_symlink("precious", scratch / "config.json");
  fs::create_symlink("precious", scratch / "config.json.tmp");
  write_file_atomically(scratch / "config.json", "new");
  BOOST_TEST(read_file(scratch / "precious") == "keep me");
  BOOST_TEST(read_file(scratch / "config.json") == "new");
  BOOST_TEST(!fs::exists(fs::symlink_status(scratch / "config.json.tmp")));
}

BOOST_AUTO_TEST_CASE(diff_finds_every_kind_of_difference) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const MemorySource a({{"equal", at::tensor({1.0F, nan, inf})},
                        {"nan", at::tensor({1.0F, nan})},
                        {"near", at::tensor({1.0F, -4.0F, 2.0F})},
                        {"only_a", at::zeros({1})},
                        {"shape", at::zeros({2, 2})}});
  const MemorySource b({{"equal", at::tensor({1.0F, nan, inf})},
                        {"nan", at::tensor({1.0F, 1.0F})},
                        {"near", at::tensor({1.0F, -4.5F, 2.25F}).to(at::kBFloat16)},
                        {"only_b", at::zeros({1})},
                        {"shape", at::zeros({4})}});
  // Of one rank, and put together from three.
  const auto rows = diff(a, b, 8, 0, 1);
  const auto together =
      rows_of_texts({rows_text(diff(a, b, 8, 0, 3)), rows_text(diff(a, b, 8, 1, 3)),
                     rows_text(diff(a, b, 8, 2, 3))});
  BOOST_TEST(diff_table(together) == diff_table(rows));
  using Kind = DiffRow::Kind;
  BOOST_REQUIRE(rows.size() == 6);
  BOOST_TEST((rows[0].kind == Kind::kEqual));
  BOOST_TEST((rows[1].kind == Kind::kDiffers));
  BOOST_TEST(rows[1].max_abs == inf);
  BOOST_TEST((rows[2].kind == Kind::kDiffers));
  BOOST_TEST(rows[2].max_abs == 0.5);
  BOOST_TEST(rows[2].max_abs_a == 4.0);
  BOOST_TEST(rows[2].differing == 2);
  BOOST_TEST((rows[3].kind == Kind::kOnlyInA));
  BOOST_TEST((rows[4].kind == Kind::kOnlyInB));
  BOOST_TEST((rows[5].kind == Kind::kShapesDiffer));
  const std::string text = diff_table(rows);
  for (const char* word :
       {"only in A", "only in B", "shapes differ", "0.5", "1 of 6 tensors are equal"})
    BOOST_TEST(text.find(word) != std::string::npos, word << " not in " << text);
  BOOST_TEST(diff_table({rows[0]}) == "1 of 1 tensors are equal\n");
}

BOOST_AUTO_TEST_CASE(training_moved_the_policy_away_from_its_start) {
  const auto rows =
      diff(*open_safetensors(golden_model("tiny-qwen3")),
           *open_safetensors(golden_model("tiny-qwen3-policy")), 4096, 0, 1);
  BOOST_TEST(rows.size() == 46);
  for (const DiffRow& row : rows) {
    BOOST_TEST(row.max_abs > 0);
    BOOST_TEST(row.max_abs < 0.1);
  }
}

BOOST_AUTO_TEST_CASE(inspect_describes_both_kinds_of_folders) {
  const Scratch scratch;
  const auto has = [](const std::string& text, const std::vector<std::string>& words) {
    for (const std::string& word : words)
      BOOST_TEST(text.find(word) != std::string::npos, word << " not in " << text);
  };
  has(inspect(golden_model("tiny-qwen3-untied-bf16")),
      {"lm_head.weight", "[771, 96]", "bfloat16", "264K elements"});
  has(inspect(save(scratch, 30, 2, 0, training_groups())),
      {"checkpoint-30", "30", "240", "30000", "2 ranks, tp2 pp1 dp2",
       "group exp_avg_sq: 4 tensors", "model.layers.0.mlp.experts.weight", "[3, 5, 7]",
       "float32"});
  refuses<UserError>([&] { inspect(scratch); }, {"neither"});
}

BOOST_AUTO_TEST_SUITE_END()
