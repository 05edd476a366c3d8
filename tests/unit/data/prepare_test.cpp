// From datasets to a store in one call: counts, refusals, nothing left behind, the demo's
// inputs.
#include "mtrain/data/prepare.hpp"

#include <boost/test/unit_test.hpp>

#include "fixtures.hpp"
#include "mtrain/data/token_store.hpp"

using namespace mtrain;
using namespace mtrain::data;

namespace {

// A folder with a tokenizer and the datasets "tasks" (alpaca) and "prose" (text).
struct Inputs {
  test::ScratchFolder folder;
  Inputs() {
    test::write_small_tokenizer(folder);
    folder.write("dataset_info.json", R"({"tasks": {"file_name": "tasks.json"},
      "prose": {"file_name": "prose.txt", "columns": {"prompt": "text"}}})");
    folder.write("tasks.json", R"([{"instruction":"a","input":"","output":"x"},
      {"instruction":"b","input":"c","output":null},
      {"instruction":"d","input":"","output":"yy"}])");
    folder.write("prose.txt", "one line\nand another line\n");
  }
  PrepareOptions sft() const { return test::sft_options(folder, "tasks"); }
  PrepareOptions pt() const {
    PrepareOptions options = test::sft_options(folder, "prose");
    options.stage = Stage::kPt;
    options.cutoff_len = 8;
    return options;
  }
};

// Preparing must fail with `what`, and leave no store.
void check_refused(const Inputs& inputs, const PrepareOptions& options,
                   const std::string& what) {
  const auto before = inputs.folder.files();
  const std::string error = test::user_error([&] { prepare(options); });
  BOOST_TEST(error.find(what) != error.npos, "'" << error << "' lacks '" << what << "'");
  BOOST_TEST(inputs.folder.files() == before);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(preparation)

BOOST_AUTO_TEST_CASE(samples_tokens_and_drops_are_counted) {
  const Inputs inputs;
  const PrepareStats stats = prepare(inputs.sft())[0].stats;
  BOOST_TEST(stats.records == 3);
  BOOST_TEST(stats.dropped == 1);
  BOOST_TEST(stats.samples == 2);
  const TokenStoreReader store(inputs.sft().output_path);
  const StoreScan scan = store.scan();
  BOOST_TEST((store.attributes().stage == Stage::kSft));
  BOOST_TEST(store.num_samples() == stats.samples);
  BOOST_TEST(scan.tokens == stats.tokens);
  BOOST_TEST(scan.trained_positions == stats.trained_positions);
  BOOST_TEST(stats.trained_positions == 3 + 4);  // x or y y, <|im_end|>, newline
}

BOOST_AUTO_TEST_CASE(texts_become_blocks_one_shorter_when_packing_is_asked_for) {
  const Inputs inputs;
  prepare(inputs.pt());
  BOOST_TEST(TokenStoreReader(inputs.pt().output_path).sample_length(0) == 8);
  PrepareOptions packed = inputs.pt();
  packed.packing = true;
  prepare(packed);
  BOOST_TEST(TokenStoreReader(packed.output_path).sample_length(0) == 7);
  PrepareOptions loose = inputs.pt();
  loose.packing = false;
  BOOST_TEST(prepare(loose)[0].stats.samples == 2);
}

// "one line" and "and another line" with their end: 9 and 16 tokens, none lost.
BOOST_AUTO_TEST_CASE(documents_keep_apart_in_rows) {
  const Inputs inputs;
  PrepareOptions options = inputs.pt();
  options.cutoff_len = 12;
  options.documents_apart = true;
  const PrepareStats stats = prepare(options)[0].stats;
  BOOST_TEST(stats.tokens == 9 + 16);
  BOOST_TEST(stats.truncated == 0);
  const TokenStoreReader store(options.output_path);
  BOOST_TEST(store.packed());
  std::vector<std::vector<int64_t>> rows;
  for (int64_t r = 0; r < store.num_rows(); ++r) {
    rows.emplace_back();
    const auto [first, last] = store.row_samples(r);
    for (int64_t i = first; i < last; ++i) rows.back().push_back(store.sample_length(i));
  }
  BOOST_TEST((rows == std::vector<std::vector<int64_t>>{{12}, {9}, {4}}));
  options.cutoff_len = 14;
  prepare(options);
  BOOST_TEST(TokenStoreReader(options.output_path).num_rows() == 2);
  options.packing = false;
  check_refused(inputs, options, "pt_packing = documents");
}

BOOST_AUTO_TEST_CASE(max_samples_counts_per_dataset) {
  const Inputs inputs;
  PrepareOptions options = inputs.sft();
  options.dataset = {"tasks", "tasks"};
  options.max_samples = 1;
  BOOST_TEST(prepare(options)[0].stats.samples == 2);
  options.max_samples = 2;
  BOOST_TEST(prepare(options)[0].stats.dropped == 2);
}

BOOST_AUTO_TEST_CASE(malformed_records_are_refused_or_skipped_by_key) {
  const Inputs inputs;
  inputs.folder.write("tasks.json", R"([{"instruction":"a","input":"","output":"x"},
      {"instruction":7,"input":"","output":"x"}])");
  PrepareOptions options = inputs.sft();
  check_refused(inputs, options,
                "tasks.json, record 2: 'instruction' is of type number, not text");
  options.skip_malformed = true;
  const PreparedStore store = prepare(options)[0];
  BOOST_TEST(store.stats.samples == 1);
  BOOST_TEST(store.stats.malformed == 1);
  BOOST_TEST(store.left_out.size() == 1u);
  options.max_samples = 1;  // what is not used is not looked at
  BOOST_TEST(prepare(options)[0].stats.malformed == 0);
}

BOOST_AUTO_TEST_CASE(datasets_that_train_nothing_are_refused) {
  const Inputs inputs;
  PrepareOptions options = inputs.pt();
  options.cutoff_len = 512;
  check_refused(inputs, options, "none of the 2 records gives a sample");
  inputs.folder.write("tasks.json", R"([{"instruction":"a","input":"","output":null}])");
  check_refused(inputs, inputs.sft(), "none of the 1 records gives a sample");
  inputs.folder.write(
      "tasks.json", R"([{"instruction":"aaaaaaaaaaaaaaaaaaaa","input":"","output":""}])");
  options = inputs.sft();
  options.cutoff_len = 2;
  check_refused(inputs, options, "all labels of the 1 samples are masked");
}

BOOST_AUTO_TEST_CASE(options_that_exclude_each_other_or_are_unknown_are_refused) {
  const Inputs inputs;
  const auto refuse = [&](PrepareOptions options, auto change, const std::string& what) {
    change(options);
    check_refused(inputs, options, what);
  };
  using O = PrepareOptions;
  refuse(
      inputs.sft(), [](O& o) { o.dataset.clear(); }, "no dataset");
  refuse(
      inputs.sft(), [](O& o) { o.dataset = {"task"}; }, "did you mean 'tasks'");
  refuse(
      inputs.sft(), [](O& o) { o.template_name = "llama9"; }, "'llama9' is not known");
  refuse(
      inputs.sft(), [](O& o) { o.cutoff_len = 0; }, "cutoff_len = 0");
  refuse(
      inputs.sft(), [](O& o) { o.preprocessing_batch_size = 0; }, "preprocessing_batch");
  refuse(
      inputs.sft(), [](O& o) { o.tool_format = "glm4"; }, "tool_format 'glm4'");
  refuse(
      inputs.sft(), [](O& o) { o.train_on_prompt = o.mask_history = true; }, "exclude");
  refuse(
      inputs.sft(), [](O& o) { o.stage = Stage::kDpo; }, "needs preference pairs");
  refuse(
      inputs.pt(), [](O& o) { o.train_on_prompt = true; }, "for stage sft only");
  refuse(
      inputs.pt(), [](O& o) { o.neat_packing = true; }, "for stage sft only");
  refuse(
      inputs.pt(), [](O& o) { o.dataset_dir = "/none"; }, "/none/dataset_info.json");
  refuse(
      inputs.pt(), [](O& o) { o.tokenizer_dir = "/none"; }, "/none/tokenizer.json");
}

BOOST_AUTO_TEST_CASE(the_hash_changes_with_whatever_the_samples_depend_on) {
  const Inputs inputs;
  const PrepareOptions options = inputs.sft();
  prepare(options);
  const std::string hash = source_hash(options);
  BOOST_TEST(TokenStoreReader(options.output_path).attributes().source_hash == hash);
  BOOST_TEST(source_hash(options) == hash);
  PrepareOptions other = options;
  other.cutoff_len = 100;
  BOOST_TEST(source_hash(other) != hash);
  other = options;
  other.enable_thinking = std::nullopt;
  BOOST_TEST(source_hash(other) != hash);
  other = options;
  other.output_path += "x";
  BOOST_TEST(source_hash(other) == hash);
  inputs.folder.write("tasks.json", R"([{"instruction":"a","input":"","output":"z"}])");
  BOOST_TEST(source_hash(options) != hash);
}

BOOST_AUTO_TEST_CASE(a_sample_is_shown_token_by_token) {
  const Inputs inputs;
  prepare(inputs.sft());
  const Tokenizer tokenizer = Tokenizer::load(inputs.folder.path());
  const std::string table =
      show(tokenizer, TokenStoreReader(inputs.sft().output_path).read(0));
  BOOST_TEST(
      table.find(" tokens, 3 trained\nposition      id   label  text\n") != table.npos,
      table);
  BOOST_TEST(table.find("masked  \"<|im_start|>\"\n") != table.npos, table);
  BOOST_TEST(table.find("  \"\\n\"\n") != table.npos, table);
}

BOOST_AUTO_TEST_CASE(the_demo_inputs_can_be_prepared) {
  const std::string demo = MTRAIN_SOURCE_DIR "/inputs/demo/";
  const test::ScratchFolder folder;
  PrepareOptions options = test::sft_options(folder, "demo_tasks");
  options.dataset_dir = demo + "data";
  options.tokenizer_dir = demo + "model";
  options.template_name = "qwen3";
  const PrepareStats tasks = prepare(options)[0].stats;
  BOOST_TEST(tasks.samples == 6000);
  BOOST_TEST(tasks.dropped == 0);
  BOOST_TEST(TokenStoreReader(options.output_path).max_token_id() < 1280);
  options.stage = Stage::kPt;
  options.dataset = {"demo_prose"};
  options.cutoff_len = 128;
  BOOST_TEST(prepare(options)[0].stats.samples > 50);
}

BOOST_AUTO_TEST_SUITE_END()
