// The parts of a preparation: shared by processes, resumed, damaged; packed and split
// stores.
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <set>

#include "fixtures.hpp"
#include "mtrain/base/text.hpp"
#include "mtrain/data/prepare.hpp"
#include "mtrain/data/token_store.hpp"

using namespace mtrain;
using namespace mtrain::data;
namespace fs = std::filesystem;

namespace {

constexpr int kRecords = 2600;  // three parts

struct Inputs {
  test::ScratchFolder folder;
  Inputs() {
    test::write_small_tokenizer(folder);
    folder.write("dataset_info.json", R"({"tasks": {"file_name": "tasks.jsonl"}})");
    std::string lines;
    for (int i = 0; i < kRecords; ++i)
      lines += cat(R"({"instruction":"ask )", i, R"(","input":"","output":")",
                   std::string(static_cast<size_t>(i % 17), 'x'), i, "\"}\n");
    folder.write("tasks.jsonl", lines);
  }
  PrepareOptions options() const {
    PrepareOptions options = test::sft_options(folder, "tasks");
    options.neat_packing = true;
    options.cutoff_len = 200;
    options.preprocessing_batch_size = 130;
    options.val_size = 100;
    return options;
  }
};

// All a store holds.
std::string contents(const std::string& path) {
  const TokenStoreReader store(path);
  std::string all;
  for (int64_t r = 0; r < store.num_rows(); ++r) {
    const auto [first, last] = store.row_samples(r);
    all += cat("row ", first, " ", last, "\n");
    for (int64_t i = first; i < last; ++i) {
      const Sample sample = store.read(i);
      all += join(sample.input_ids, " ") + "|" + join(sample.labels, " ") + "\n";
    }
  }
  return all;
}

std::string both(const PrepareOptions& options) {
  return contents(options.output_path) + contents(options.eval_output_path);
}

std::string part_path(const PrepareOptions& options, int64_t i) {
  return cat(fs::path(options.output_path).replace_extension("").string(),
             ".parts.h5/part-", i);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(parts)

BOOST_AUTO_TEST_CASE(any_number_of_processes_make_the_same_stores) {
  const Inputs inputs;
  const PrepareOptions options = inputs.options();
  prepare(options);
  const std::string alone = both(options);
  for (const char* name : {"tokens.h5", "tokens.eval.h5"})
    fs::remove(inputs.folder / name);
  Preparation first(options), second(options), third(options);
  BOOST_REQUIRE(first.parts() == 4);
  for (Preparation* each : {&second, &third, &first})
    BOOST_TEST(each->encode(each == &first ? 0 : each == &second ? 1 : 2).has_value());
  BOOST_TEST(second.encode(3).has_value());
  third.finish();
  BOOST_TEST((both(options) == alone));
  BOOST_TEST(!fs::exists(part_path(options, 0)));
}

BOOST_AUTO_TEST_CASE(what_was_encoded_before_a_stop_is_kept_unless_damaged) {
  const Inputs inputs;
  const PrepareOptions options = inputs.options();
  prepare(options);
  const std::string whole = both(options);
  fs::remove(options.output_path);
  {
    Preparation stopped(options);
    for (int64_t i = 0; i < 3; ++i) stopped.encode(i);
  }
  fs::resize_file(part_path(options, 1), fs::file_size(part_path(options, 1)) - 1);
  std::fstream(part_path(options, 2)).seekp(3000).put('\xff');
  Preparation resumed(options);
  BOOST_TEST(!resumed.encode(0).has_value());
  BOOST_TEST(resumed.encode(1).has_value());
  BOOST_TEST(resumed.encode(2).has_value());
  BOOST_TEST(resumed.encode(3).has_value());
  resumed.finish();
  BOOST_TEST((both(options) == whole));
}

BOOST_AUTO_TEST_CASE(parts_of_other_inputs_are_not_used) {
  const Inputs inputs;
  PrepareOptions options = inputs.options();
  Preparation(options).encode(0);
  options.seed = 7;
  BOOST_TEST(Preparation(options).encode(0).has_value());
}

BOOST_AUTO_TEST_CASE(a_store_that_is_up_to_date_is_kept) {
  const Inputs inputs;
  const PrepareOptions options = inputs.options();
  BOOST_TEST(reason_to_prepare(options) == options.output_path + " is not there");
  prepare(options);
  BOOST_TEST(reason_to_prepare(options) == "");
  fs::remove(options.eval_output_path);
  BOOST_TEST(reason_to_prepare(options) == options.eval_output_path + " is not there");
}

BOOST_AUTO_TEST_CASE(datasets_for_evaluation_get_a_store_of_their_own) {
  const Inputs inputs;
  inputs.folder.write("dataset_info.json", R"({"tasks": {"file_name": "tasks.jsonl"},
      "exam": {"file_name": "tasks.jsonl", "num_samples": 40}})");
  PrepareOptions options = inputs.options();
  options.val_size = 0;
  options.eval_dataset = {"exam"};
  const auto stores = prepare(options);
  BOOST_REQUIRE(stores.size() == 2u);
  BOOST_TEST(stores[0].stats.samples == kRecords);
  BOOST_TEST(stores[1].stats.samples == 40);
  BOOST_TEST(stores[1].path == options.eval_output_path);
  options.val_size = 1;
  BOOST_TEST(test::user_error([&] { prepare(options); }).find("exclude") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(rows_hold_each_sample_once_and_are_nearly_full) {
  const Inputs inputs;
  const auto stores = prepare(inputs.options());
  const TokenStoreReader store(stores[0].path);
  BOOST_TEST(store.packed());
  BOOST_TEST(store.num_samples() == kRecords - 100);
  BOOST_TEST(stores[0].fill > 0.9);
  BOOST_TEST(TokenStoreReader(stores[1].path).num_samples() == 100);
  for (int64_t r = 0; r < store.num_rows(); ++r) {
    const auto [first, last] = store.row_samples(r);
    int64_t tokens = 0;
    for (int64_t i = first; i < last; ++i) tokens += store.sample_length(i);
    BOOST_TEST(tokens <= 199);
  }
}

BOOST_AUTO_TEST_CASE(faults_are_told_in_order_by_place) {
  const Inputs inputs;
  std::ofstream file(inputs.folder / "tasks.jsonl", std::ios::app);
  for (int i = 0; i < 8; ++i) file << "{\"instruction\": " << i << "}\n";
  file.close();
  PrepareOptions options = inputs.options();
  options.val_size = 0;
  const std::string error = test::user_error([&] { prepare(options); });
  BOOST_TEST(error.find("8 malformed records:") != error.npos, error);
  BOOST_TEST(error.find("tasks.jsonl:2601: 'instruction'") != error.npos, error);
  BOOST_TEST(error.find("tasks.jsonl:2605: 'instruction'") != error.npos, error);
  BOOST_TEST(error.find("and 3 more") != error.npos, error);
  BOOST_TEST(!fs::exists(options.output_path));
  BOOST_TEST(!fs::exists(part_path(options, 0)));
}

BOOST_AUTO_TEST_SUITE_END()
