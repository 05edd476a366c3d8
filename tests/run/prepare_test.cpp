// mprep as users run it: on any number of ranks byte for byte the same
// stores, the second time at once,
// and a table of a record.
#define BOOST_TEST_MODULE prepare
#include <boost/test/unit_test.hpp>

#include "mtrain/base/text.hpp"
#include "mtrain/base/timer.hpp"
#include "support/run_program.hpp"

using namespace mtrain;
namespace fs = std::filesystem;

namespace {

const std::string kDemo = MTRAIN_SOURCE_DIR "/inputs/demo/";

/// Runs mprep on the demo's tasks, packed and with a part for evaluation, into `folder`.
std::string prepare(const fs::path& folder, int ranks,
                    const std::vector<std::string>& more = {}) {
  test::write_text(folder / "deck.ini",
                   cat("model_config = ", kDemo, "model/config.json\n", "dataset_dir = ",
                       kDemo, "data\ndataset = demo_tasks\ntemplate = qwen3\n",
                       "cutoff_len = 128\nneat_packing = true\nval_size = 0.1\n",
                       "tokenized_path = ", (folder / "tokens.h5").string(), "\n"));
  std::vector<std::string> arguments = {(folder / "deck.ini").string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto outcome = test::run_program("mprep", ranks, arguments);
  BOOST_REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.output);
  return outcome.output;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

}  // namespace

BOOST_AUTO_TEST_CASE(stores_do_not_depend_on_the_number_of_ranks) {
  const fs::path one = test::scratch("prepare_one"),
                 three = test::scratch("prepare_three");
  const std::string said = prepare(one, 1);
  BOOST_TEST(has(said, "% filled"), said);
  BOOST_TEST(has(said, "tokens/s"), said);
  prepare(three, 3);
  for (const char* name : {"tokens.h5", "tokens.eval.h5"})
    BOOST_TEST((test::read_text(one / name) == test::read_text(three / name)), name);
  BOOST_TEST(!fs::exists(three / "tokens.parts.h5"));
}

BOOST_AUTO_TEST_CASE(the_second_time_is_a_hit_and_shows_a_record) {
  const fs::path folder = test::scratch("prepare_twice");
  prepare(folder, 1);
  // What starting any program takes depends on what else the machine does.
  const Stopwatch starting;
  test::run_program("mprep", 1, {"--version"});
  const double start = starting.seconds();
  const Stopwatch watch;
  BOOST_TEST(has(prepare(folder, 1), "is up to date"));
  BOOST_TEST(watch.seconds() - start < 1.0);
  const std::string said = prepare(folder, 1, {"--show", "2"});
  BOOST_TEST(has(said, "position      id   label  text"), said);
  BOOST_TEST(has(prepare(folder, 1, {"cutoff_len=100"}), "prepared in"));
}

// docs/data.md has a record and, in the code block behind it, its table.
BOOST_AUTO_TEST_CASE(the_documented_table_is_what_is_printed) {
  const std::string page = test::read_text(MTRAIN_SOURCE_DIR "/docs/data.md");
  const auto between = [&](const std::string& before, const std::string& after) {
    const size_t first = page.find(before);
    BOOST_REQUIRE(first != page.npos);
    const size_t begin = first + before.size();
    return page.substr(begin, page.find(after, begin) - begin);
  };
  const fs::path folder = test::scratch("prepare_documented");
  test::write_text(folder / "demo_tasks.json",
                   "[" + between("A record of the demo, `", "`") + "]");
  test::write_text(folder / "dataset_info.json",
                   R"({"demo_tasks": {"file_name": "demo_tasks.json"}})");
  const std::string said =
      prepare(folder, 1, {"--show", "0", "dataset_dir=" + folder.string(), "val_size=0"});
  const std::string table =
      between("which positions it is trained on.\n\n```\n", "```\n");
  BOOST_TEST(has(table, "tokens, "), table);
  BOOST_TEST(has(said, table), said);
}
