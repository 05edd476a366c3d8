// Inputs that change: between two preparations, which makes a store stale, and during
// one, which must not end in a store of both.
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "fixtures.hpp"
#include "mapped_file.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/data/prepare.hpp"
#include "mtrain/data/token_store.hpp"

using namespace mtrain;
using namespace mtrain::data;
namespace fs = std::filesystem;

namespace {

constexpr int kRecords = 1500;  // two parts

std::string records(const std::string& answer) {
  std::string lines;
  for (int i = 0; i < kRecords; ++i)
    lines +=
        cat(R"({"instruction":"ask )", i, R"(","input":"","output":")", answer, "\"}\n");
  return lines;
}

struct Inputs {
  test::ScratchFolder folder;
  PrepareOptions options;
  Inputs() {
    test::write_small_tokenizer(folder);
    folder.write("dataset_info.json", R"({"tasks": {"file_name": "tasks.jsonl"},
      "exam": {"file_name": "exam.jsonl"}})");
    folder.write("tasks.jsonl", records("yes"));
    folder.write("exam.jsonl", records("no"));
    options = test::sft_options(folder, "tasks");
  }
  std::string data() const { return folder / "tasks.jsonl"; }
};

/// The differences of the store from what `options` ask for.
std::string differences(const PrepareOptions& options) {
  return join(compare_store(options.output_path, options).differences, "\n");
}

std::string failure(const std::function<void()>& action) {
  try {
    action();
  } catch (const UserError& error) {
    return cat("UserError: ", error.what());
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stale_inputs)

BOOST_AUTO_TEST_CASE(what_differs_from_the_deck_is_named) {
  const Inputs inputs;
  prepare(inputs.options);
  BOOST_TEST(compare_store(inputs.options.output_path, inputs.options).known);
  BOOST_TEST(differences(inputs.options) == "");
  BOOST_TEST(reason_to_prepare(inputs.options) == "");
  PrepareOptions other = inputs.options;
  other.cutoff_len = 77;
  other.max_samples = 5;
  other.default_system = "be kind";
  const std::string lines = differences(other);
  BOOST_TEST(lines == cat("cutoff_len: ", inputs.options.cutoff_len,
                          " in the store, now 77\nmax_samples: null in the store, now 5"
                          "\ndefault_system: null in the store, now be kind"));
  BOOST_TEST(reason_to_prepare(other).find("max_samples: null in") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_seed_that_draws_nothing_is_no_difference) {
  const Inputs inputs;
  prepare(inputs.options);
  PrepareOptions other = inputs.options;
  other.seed += 1;
  BOOST_TEST(differences(other) == "");
  other.val_size = 100;
  BOOST_TEST(differences(other).find("seed: any in the store, now ") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(changed_files_are_named) {
  const Inputs inputs;
  prepare(inputs.options);
  inputs.folder.write("tasks.jsonl", records("yet"));
  BOOST_TEST(differences(inputs.options).starts_with("files of tasks: "));
  inputs.folder.write("tasks.jsonl", records("yes"));
  BOOST_TEST(differences(inputs.options) == "");
  inputs.folder.write("dataset_info.json", R"({"tasks": {"file_name": "tasks.jsonl",
      "columns": {"prompt": "input", "query": "instruction"}}})");
  BOOST_TEST(differences(inputs.options).starts_with("dataset_info.json of tasks: "));
  std::ofstream(inputs.folder / "tokenizer.json", std::ios::app) << "\n";
  BOOST_TEST(differences(inputs.options).starts_with("files of the tokenizer: "));
}

// A template that the deck names does not come from the tokenizer's files.
BOOST_AUTO_TEST_CASE(what_says_nothing_about_tokens_is_no_difference) {
  const Inputs inputs;
  prepare(inputs.options);
  inputs.folder.write("chat_template.jinja", "{{ 1 }}");
  BOOST_TEST(differences(inputs.options) == "");
  PrepareOptions other = inputs.options;
  other.template_name = "";
  BOOST_TEST(differences(other).find("template: ") != std::string::npos);
  BOOST_TEST(differences(other).find("files of the tokenizer: ") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(data_that_are_not_here_are_left_out_of_the_comparison) {
  const Inputs inputs;
  prepare(inputs.options);
  fs::remove(inputs.data());
  const auto comparison = compare_store(inputs.options.output_path, inputs.options);
  BOOST_TEST(comparison.differences.empty());
  BOOST_REQUIRE(comparison.unread.size() == 1u);
  BOOST_TEST(comparison.unread[0].find("tasks.jsonl") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_foreign_store_does_not_tell) {
  const Inputs inputs;
  TokenStoreWriter writer(inputs.options.output_path, {Stage::kSft, "theirs"});
  writer.append({{1, 2}, {1, 2}});
  writer.finish();
  const auto comparison = compare_store(inputs.options.output_path, inputs.options);
  BOOST_TEST(!comparison.known);
  BOOST_TEST(comparison.differences.empty());
  BOOST_TEST(reason_to_prepare(inputs.options).find("does not say what it was made") !=
             std::string::npos);
}

// mprep's store for eval_dataset is the one a trainer makes from it alone.
BOOST_AUTO_TEST_CASE(an_evaluation_store_is_compared_by_itself) {
  const Inputs inputs;
  PrepareOptions options = inputs.options;
  options.eval_dataset = {"exam"};
  prepare(options);
  const PrepareOptions alone = evaluation_options(options);
  BOOST_TEST(alone.output_path == options.eval_output_path);
  BOOST_TEST(differences(alone) == "");
  BOOST_TEST(reason_to_prepare(options) == "");
  inputs.folder.write("exam.jsonl", records("not"));
  BOOST_TEST(differences(options) == "");
  BOOST_TEST(differences(alone).starts_with("files of exam: "));
  BOOST_TEST(reason_to_prepare(options).find("files of exam: ") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_damaged_store_is_a_reason_to_make_it_and_another_file_is_not) {
  const Inputs inputs;
  const std::string path = inputs.options.output_path;
  prepare(inputs.options);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(fs::file_size(path) / 2));
    file.put('\x55').put('\x55');
  }
  BOOST_TEST(reason_to_prepare(inputs.options).find("match their checksum") !=
             std::string::npos);
  fs::resize_file(path, 500);
  BOOST_TEST(reason_to_prepare(inputs.options).find("truncated") != std::string::npos);
  inputs.folder.write("tokens.h5", "a letter");
  BOOST_TEST(failure([&] {
               reason_to_prepare(inputs.options);
             }).find("not an HDF5 file") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_file_cut_while_it_is_mapped_reads_as_zeros) {
  const test::ScratchFolder folder;
  const std::string path = folder.write("a.txt", std::string(100'000, 'a'));
  const MappedFile file(path);
  fs::resize_file(path, 5000);
  BOOST_TEST(file.bytes()[4999] == 'a');
  BOOST_TEST(file.bytes()[99'999] == '\0');
  BOOST_TEST(file.bytes()[50'000] == '\0');
  const MappedFile again(path);
  BOOST_TEST(again.bytes().size() == 5000u);
}

BOOST_AUTO_TEST_CASE(inputs_that_change_during_a_preparation_end_it) {
  const std::string head = "tasks.jsonl was changed while it was read: ";
  const auto change = [&](auto action, const std::string& what) {
    const Inputs inputs;
    Preparation preparation(inputs.options);
    preparation.encode(0);
    action(inputs);
    const std::string encoding = failure([&] { preparation.encode(1); });
    BOOST_TEST(encoding.find(head + what) != std::string::npos, encoding);
    BOOST_TEST(!encoding.starts_with("UserError"));
    BOOST_TEST(!fs::exists(inputs.folder / "tokens.parts.h5/part-1"));
    const std::string joining = failure([&] { preparation.finish(); });
    BOOST_TEST(joining.find(head + what) != std::string::npos, joining);
    BOOST_TEST(!fs::exists(inputs.options.output_path));
  };
  change([](const Inputs& i) { fs::resize_file(i.data(), 4000); }, "it has 4000 bytes");
  change([](const Inputs& i) { std::ofstream(i.data()) << records("yet"); },
         "it was written to");
  change(
      [](const Inputs& i) {
        fs::rename(i.data(), i.folder / "old.jsonl");
        i.folder.write("tasks.jsonl", records("yes"));
      },
      "another file stands in its place");
  change([](const Inputs& i) { fs::remove(i.data()); }, "it is gone");
  // Its time set back: the file system still knows.
  change(
      [](const Inputs& i) {
        const auto time = fs::last_write_time(i.data());
        std::ofstream(i.data()) << records("yet");
        fs::last_write_time(i.data(), time);
      },
      "its attributes were changed");
}

BOOST_AUTO_TEST_SUITE_END()
