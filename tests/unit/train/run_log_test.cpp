// The log of a run: one JSON line per step, cut where a resumed run takes over.
#include "run_log.hpp"

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "mtrain/base/log.hpp"
#include "mtrain/base/text.hpp"

using namespace mtrain;
using namespace mtrain::train;
using nlohmann::json;

namespace {

/// A folder of its own, and no progress lines on the console.
class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() / cat("mtrain-log-", ::getpid())) {
    std::filesystem::create_directories(path_);
    log::set_level(log::Level::kError);
  }
  ~Folder() {
    std::filesystem::remove_all(path_);
    log::set_level(log::Level::kInfo);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }

  std::vector<json> lines() const {
    std::ifstream in(path_ / "trainer_log.jsonl");
    std::vector<json> result;
    for (std::string line; std::getline(in, line);) result.push_back(json::parse(line));
    return result;
  }

  std::vector<int64_t> steps() const {
    std::vector<int64_t> result;
    for (const auto& line : lines()) result.push_back(line["current_steps"]);
    return result;
  }

 private:
  std::filesystem::path path_;
};

StepFigures figures(int64_t step) {
  return {step, 10, 0.5, 2.25, 1.5, 1e-3, 100 * step, 1234.56, 0.5, 1 << 20, {}, {}, {}};
}

void write_steps(const Folder& folder, int64_t from, int64_t to) {
  RunLog log(folder.path(), true, from, {});
  for (int64_t step = from + 1; step <= to; ++step) log.step(figures(step));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(run_log)

BOOST_AUTO_TEST_CASE(a_line_per_step) {
  const Folder folder;
  write_steps(folder, 0, 3);
  BOOST_TEST(folder.steps() == (std::vector<int64_t>{1, 2, 3}),
             boost::test_tools::per_element());
  const json line = folder.lines().back();
  BOOST_TEST(line["total_steps"] == 10);
  BOOST_TEST(line["loss"] == 2.25);
  BOOST_TEST(line["lr"] == 1e-3);
  BOOST_TEST(line["num_tokens"] == 300);
  BOOST_TEST(line["tokens_per_second"] == 1234.6);
}

BOOST_AUTO_TEST_CASE(a_resumed_run_writes_later_steps_anew) {
  const Folder folder;
  write_steps(folder, 0, 6);
  // The last line of a killed run may be half written.
  std::ofstream(folder.path() / "trainer_log.jsonl", std::ios::app) << "{\"current_st";
  write_steps(folder, 4, 5);
  BOOST_TEST(folder.steps() == (std::vector<int64_t>{1, 2, 3, 4, 5}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_damaged_line_ends_what_is_kept) {
  const Folder folder;
  write_steps(folder, 0, 2);
  std::ofstream(folder.path() / "trainer_log.jsonl", std::ios::app) << "17\n";
  write_steps(folder, 4, 5);
  BOOST_TEST(folder.steps() == (std::vector<int64_t>{1, 2, 5}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(other_ranks_write_nothing) {
  const Folder folder;
  RunLog log(folder.path(), false, 0, {});
  log.step(figures(1));
  log.evaluation(1, 10, 2.0, {}, 0.5);
  log.summary("done", figures(1), {}, {}, {1}, 2.0);
  BOOST_TEST(std::filesystem::is_empty(folder.path()));
}

BOOST_AUTO_TEST_CASE(a_loss_that_is_no_number_is_null) {
  const Folder folder;
  {
    RunLog log(folder.path(), true, 0, {});
    StepFigures broken = figures(1);
    broken.loss = std::nan("");
    log.step(broken);
    log.evaluation(1, 10, std::log(8.0), {}, 0.5);
  }
  BOOST_TEST(folder.lines()[0]["loss"].is_null());
  BOOST_TEST(std::abs(folder.lines()[1]["eval_perplexity"].get<double>() - 8.0) < 1e-7);
}

BOOST_AUTO_TEST_CASE(preference_training_tells_its_rewards) {
  const Folder folder;
  {
    RunLog log(folder.path(), true, 0, {});
    StepFigures step = figures(1);
    step.rewards = {0.5, -0.25, 0.75};
    log.step(step);
    log.evaluation(1, 10, 0.5, step.rewards, 0.5);
  }
  const auto lines = folder.lines();
  BOOST_TEST(lines[0]["rewards_chosen"] == 0.5);
  BOOST_TEST(lines[0]["rewards_rejected"] == -0.25);
  BOOST_TEST(lines[0]["rewards_margins"] == 0.75);
  BOOST_TEST(lines[0]["rewards_accuracies"] == 0.75);
  BOOST_TEST(lines[1]["eval_rewards_margins"] == 0.75);
  BOOST_TEST(!lines[1].contains("eval_perplexity"));
}

BOOST_AUTO_TEST_CASE(the_summary_tells_where_time_went) {
  const Folder folder;
  RunLog log(folder.path(), true, 0, {});
  log.summary("completed", figures(10), {{"step", 6.0}, {"checkpoint", 2.0}}, {}, {5, 7},
              std::nan(""));
  std::ifstream in(folder.path() / "run_summary.json");
  const json summary = json::parse(in);
  BOOST_TEST(summary["result"] == "completed");
  BOOST_TEST(summary["steps"] == 10);
  BOOST_TEST(summary["wall_seconds"] == 8.0);
  BOOST_TEST(summary["productive_share"] == 0.75);
  BOOST_TEST(summary["peak_memory_bytes_per_rank"] == (std::vector<int64_t>{5, 7}));
  BOOST_TEST(!summary.contains("eval_loss"));
}

BOOST_AUTO_TEST_SUITE_END()
