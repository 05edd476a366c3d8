// The look at datasets before a run: what it reads, what it finds, and that it leaves
// nothing behind.
#include "mtrain/data/source_check.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>

#include "fixtures.hpp"

using namespace mtrain;
using namespace mtrain::data;

namespace {

struct Inputs {
  test::ScratchFolder folder;
  Inputs() {
    test::write_small_tokenizer(folder);
    folder.write("dataset_info.json", R"({"tasks": {"file_name": "tasks.json"},
      "more": {"file_name": "more.json"},
      "gone": {"file_name": "gone.json"},
      "pairs": {"file_name": "tasks.json", "ranking": true},
      "prose": {"file_name": "prose.txt", "columns": {"prompt": "text"}}})");
    write("tasks.json", 40, {});
    write("more.json", 4, {});
    folder.write("prose.txt", "one line\nand another line\n");
  }
  /// `count` records, those of `bad` without an instruction.
  void write(const std::string& name, int count, const std::vector<int>& bad) const {
    nlohmann::json records;
    for (int i = 0; i < count; ++i) {
      const bool broken = std::find(bad.begin(), bad.end(), i) != bad.end();
      records.push_back({{"instruction", broken ? nlohmann::json(7) : "a"},
                         {"input", ""},
                         {"output", "x"}});
    }
    folder.write(name, records.dump());
  }
  PrepareOptions sft() const { return test::sft_options(folder, "tasks"); }
};

std::string faults_of(const SourceCheck& check) {
  return test::user_error([&] { check.faults.throw_if_any(); });
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(source_check)

BOOST_AUTO_TEST_CASE(a_sample_or_all_is_read_and_nothing_written) {
  const Inputs inputs;
  const auto before = inputs.folder.files();
  const auto some = check_sources(inputs.sft(), 10);
  BOOST_TEST(faults_of(some) == "");
  BOOST_TEST(!some.complete);
  BOOST_TEST(some.seen.stats.records == 10);
  BOOST_TEST(some.train_rows.value() == 40);
  BOOST_TEST(has(join(some.read, "\n"), "records: 10 of 40 checked; --check=full"));
  const auto all = check_sources(inputs.sft(), kAllRecords);
  BOOST_TEST(all.complete);
  BOOST_TEST(all.seen.stats.samples == 40);
  BOOST_TEST(has(join(all.read, "\n"), "records: all 40 checked"));
  BOOST_TEST(has(join(all.read, "\n"), "dataset tasks: 40 records in "));
  BOOST_TEST(inputs.folder.files() == before);
}

// The rows that steps draw from are those of the store to be.
BOOST_AUTO_TEST_CASE(rows_are_those_of_the_store) {
  const Inputs inputs;
  PrepareOptions options = inputs.sft();
  for (const bool packing : {false, true}) {
    options.packing = packing;
    const auto check = check_sources(options, kAllRecords);
    const auto stats = prepare(options)[0].stats;
    BOOST_TEST(check.train_rows.value() == (packing ? stats.rows : stats.samples));
    BOOST_TEST(check.seen.stats.tokens == stats.tokens);
    std::filesystem::remove(options.output_path);
  }
  options.packing = false;
  options.val_size = 8;
  const auto split = check_sources(options, kAllRecords);
  BOOST_TEST(split.train_rows.value() == 32);
  BOOST_TEST(split.has_eval);
  options.stage = Stage::kPt;
  options.packing.reset();
  options.dataset = {"prose"};
  options.val_size = 0;
  options.cutoff_len = 8;
  BOOST_TEST(check_sources(options, kAllRecords).train_rows.value() == 3);
}

BOOST_AUTO_TEST_CASE(faults_that_depend_on_nothing_are_told_together) {
  const Inputs inputs;
  PrepareOptions options = inputs.sft();
  options.dataset = {"tsks", "gone", "pairs", "more"};
  options.eval_dataset = {"nope"};
  std::filesystem::remove(inputs.folder / "tokenizer.json");
  const std::string faults = faults_of(check_sources(options, 10));
  for (const char* part :
       {"5 faults", "dataset 'tsks' is not in", "did you mean 'tasks'?", "gone.json",
        "'ranking': it is for stage dpo only", "dataset 'nope'", "tokenizer.json"})
    BOOST_TEST(has(faults, part), part << " in\n" << faults);
}

BOOST_AUTO_TEST_CASE(malformed_records_are_found_and_placed) {
  const Inputs inputs;
  inputs.write("tasks.json", 40, {3, 39});
  const std::string all = faults_of(check_sources(inputs.sft(), kAllRecords));
  BOOST_TEST(has(all, "2 malformed records"), all);
  BOOST_TEST(has(all, "skip_malformed"), all);
  const std::string some = faults_of(check_sources(inputs.sft(), 10));
  BOOST_TEST(has(some, "1 malformed record:"), some);
  PrepareOptions skipping = inputs.sft();
  skipping.skip_malformed = true;
  const auto skipped = check_sources(skipping, kAllRecords);
  BOOST_TEST(faults_of(skipped) == "");
  BOOST_TEST(skipped.seen.stats.malformed == 2);
  BOOST_TEST(skipped.train_rows.value() == 38);
}

BOOST_AUTO_TEST_CASE(sizes_are_compared_with_the_records) {
  const Inputs inputs;
  PrepareOptions options = inputs.sft();
  options.val_size = 40;
  BOOST_TEST(has(faults_of(check_sources(options, 10)), "nothing is left to train on"));
  options = inputs.sft();
  options.template_name = "qwen33";
  options.dataset = {"gone"};
  const std::string faults = faults_of(check_sources(options, 10));
  BOOST_TEST(has(faults, "qwen33"), faults);
  BOOST_TEST(has(faults, "gone.json"), faults);
}

BOOST_AUTO_TEST_SUITE_END()
