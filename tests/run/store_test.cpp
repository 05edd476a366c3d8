// Token stores as runs meet them: made by the same deck or another, and changed under a
// run that reads them.
#define BOOST_TEST_MODULE store
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <fstream>
#include <functional>
#include <future>
#include <thread>

#include "mtrain/base/text.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::Words;
using test::words;
using test::operator+;
namespace fs = std::filesystem;

namespace {

const std::string kDemo = MTRAIN_SOURCE_DIR "/inputs/demo/";

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

/// One deck for mprep and mtrain over a few records of its own.
struct Prepared {
  fs::path folder;

  explicit Prepared(const std::string& name) : folder(test::scratch(name)) {
    records("Three.");
    test::write_text(folder / "dataset_info.json",
                     R"({"sums": {"file_name": "sums.json"}})");
    test::write_text(
        folder / "deck.ini",
        cat("model_config = ", kDemo, "model/config.json\ndataset_dir = ",
            folder.string(), "\ndataset = sums\nstage = sft\ntemplate = qwen3_nothink\n",
            "cutoff_len = 128\nval_size = 2\ndo_eval = true\nmax_steps = 1\n",
            "per_device_train_batch_size = 2\nlearning_rate = 1e-3\n",
            "tokenized_path = ", (folder / "tokens.h5").string(),
            "\noutput_dir = ", (folder / "out").string(), "\n"));
  }

  void records(const std::string& answer) const {
    std::string list;
    for (int i = 0; i < 8; ++i)
      list += cat(i ? "," : "[", R"({"instruction": "Add 1 and 2, )", i,
                  R"( times", "input": "", "output": ")", answer, "\"}");
    test::write_text(folder / "sums.json", list + "]");
  }

  test::Outcome run(const std::string& program, const Words& more = {}) const {
    return test::run_program(program, 1, Words{(folder / "deck.ini").string()} + more);
  }
};

void check_refused(const test::Outcome& outcome, const Words& parts) {
  BOOST_TEST(outcome.exit_code == 2, outcome.output);
  for (const auto& part : parts) BOOST_TEST(has(outcome.errors, part), outcome.errors);
}

/// Starts a run of many steps, does `change` once it has logged some, and waits for its
/// end.
test::Outcome change_under(const test::TinyRun& run,
                           const std::function<void()>& change) {
  const Words endless = words("max_steps=10000000 max_time=00:00:01:00");
  auto outcome = std::async(std::launch::async, [&] { return run.run(2, endless); });
  const auto log = run.at("out") / "trainer_log.jsonl";
  const auto begins = [&] { return fs::exists(log) && fs::file_size(log) > 500; };
  for (int i = 0; i < 600 && !begins(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  BOOST_REQUIRE(begins());
  change();
  return outcome.get();
}

void check_failed(const test::TinyRun& run, const test::Outcome& outcome,
                  const std::string& what) {
  BOOST_TEST(outcome.exit_code == 1, outcome.output);
  BOOST_TEST(has(outcome.errors, run.at("tokens.h5").string()), outcome.errors);
  BOOST_TEST(has(outcome.errors, what), outcome.errors);
  BOOST_TEST(has(outcome.errors, "bring the store back"), outcome.errors);
  BOOST_TEST(!fs::exists(run.at("out") / "model.safetensors"));
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_store_of_the_same_deck_is_taken_and_that_of_another_refused) {
  const Prepared prepared("store_stale");
  BOOST_TEST(prepared.run("mprep").exit_code == 0);
  const auto trained = prepared.run("mtrain");
  BOOST_TEST(trained.exit_code == 0, trained.output);
  BOOST_TEST(has(trained.output, "tokens.h5 is up to date"), trained.output);
  BOOST_TEST(!has(trained.output, "no effect"), trained.output);
  const std::string elsewhere = cat("output_dir=", (prepared.folder / "new").string());
  for (const std::string& how : {elsewhere, std::string("--check")})
    check_refused(prepared.run("mtrain", {"cutoff_len=100", "val_size=3", how}),
                  {"tokens.h5 was not made by this deck", "cutoff_len: 128 in the store",
                   "now 100", "val_size: 2 in the store, now 3", "mprep"});
  prepared.records("Four.");
  check_refused(prepared.run("mtrain", {elsewhere}), {"files of sums: "});
  const auto alone = prepared.run(
      "mtrain", {"dataset=", "val_size=0", "cutoff_len=100", "--check", elsewhere});
  BOOST_TEST(alone.exit_code == 0, alone.output);
  BOOST_TEST(prepared.run("mprep").exit_code == 0);
  BOOST_TEST(prepared.run("mtrain", {"--check"}).exit_code == 0);
}

BOOST_AUTO_TEST_CASE(a_store_cut_under_a_run_ends_it) {
  const test::TinyRun run("store_cut");
  const auto path = run.at("tokens.h5");
  const auto outcome =
      change_under(run, [&] { fs::resize_file(path, fs::file_size(path) / 2); });
  check_failed(run, outcome, "changed while it is read: it has ");
}

BOOST_AUTO_TEST_CASE(a_store_rewritten_under_a_run_ends_it) {
  const test::TinyRun run("store_rewritten");
  auto samples = test::random_samples(24, 512);
  for (auto& sample : samples)
    for (auto& id : sample.input_ids) id = 100'000;  // beyond the vocabulary as well
  test::write_samples(run.at("other.h5"), samples);
  const std::string other = test::read_text(run.at("other.h5"));
  BOOST_TEST(other.size() == fs::file_size(run.at("tokens.h5")));
  const auto outcome = change_under(run, [&] {
    std::fstream(run.at("tokens.h5"), std::ios::binary | std::ios::in | std::ios::out)
        << other;
  });
  check_failed(run, outcome, "do not match their checksum");
}
