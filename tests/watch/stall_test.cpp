// Stalls of every kind, injected into a toy loop and into the real program: the run ends
// in time and the culprit is named. MTRAIN_STALLS=100 for the full count,
// MTRAIN_SLOW_STEPS=2000 for slow steps that are no stalls.
#define BOOST_TEST_MODULE stalls
#include <signal.h>
#include <sys/wait.h>

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <random>
#include <thread>

#include "mtrain/base/text.hpp"
#include "mtrain/base/timer.hpp"
#include "run/tiny_run.hpp"
#include "support/processes.hpp"

using namespace mtrain;
namespace fs = std::filesystem;

namespace {

int setting(const char* name, int standard) {
  const char* text = std::getenv(name);
  return text ? std::atoi(text) : standard;
}

struct Ended {
  int exit_code;
  double seconds;
  std::string output;
};

Ended shell(const std::string& command) {
  const Stopwatch clock;
  std::FILE* pipe = popen((command + " 2>&1 < /dev/null").c_str(), "r");
  BOOST_REQUIRE(pipe);
  Ended ended{0, 0, ""};
  char buffer[4096];
  for (size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    ended.output.append(buffer, n);
  const int status = pclose(pipe);
  ended.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  ended.seconds = clock.seconds();
  return ended;
}

/// The rank that the verdict names first; -1 for none.
int named(const std::string& output) {
  const std::string start = "hang: rank ";
  const size_t at = output.find(start);
  return at == std::string::npos ? -1 : std::atoi(output.c_str() + at + start.size());
}

struct Layout {
  int tensor, pipeline;
};
constexpr int kRanks = 4;
constexpr double kFloor = 1;

Ended stall(const std::string& fault, int rank, int step, int place, Layout layout,
            int steps) {
  return shell(cat(MTRAIN_SOURCE_DIR "/scripts/local_mpirun -np ", kRanks,
                   " " MTRAIN_STALLING_RANKS " ", fault, " ", rank, " ", step, " ", place,
                   " ", layout.tensor, " ", layout.pipeline, " ", steps, " ", kFloor, " ",
                   (test::scratch("stall") / "hang").string()));
}

bool says(const std::string& output, const std::string& part) {
  return output.find(part) != std::string::npos;
}

/// The process of this rank of the mtrain that has `argument` in its command line.
pid_t await_rank(const std::string& argument, int rank) {
  return test::await_process(MTRAIN_BINARY_DIR "/bin/mtrain", argument,
                             cat("OMPI_COMM_WORLD_RANK=", rank));
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_culprit_is_named) {
  const int count = setting("MTRAIN_STALLS", 4);
  const Layout layouts[] = {{4, 1}, {2, 1}, {2, 2}, {1, 2}, {1, 1}};
  const char* const faults[] = {"stop", "skip", "shape", "reader"};
  std::mt19937 random(5);
  const auto below = [&](int bound) {
    return static_cast<int>(random() % static_cast<unsigned>(bound));
  };
  int right = 0;
  for (int i = 0; i < count; ++i) {
    const std::string fault = faults[i % 4];
    const Layout layout = layouts[below(5)];
    const int rank = below(kRanks), step = 3 + below(5);
    const int reductions =
        (layout.tensor > 1 ? 24 : 0) + (layout.tensor * layout.pipeline < 4 ? 2 : 0) + 1;
    const int place = fault == "reader" ? 0 : below(fault == "stop" ? 24 : reductions);
    const auto ended = stall(fault, rank, step, place, layout, 12);
    const bool good = named(ended.output) == rank;
    right += good;
    const std::string what =
        cat(fault, " of rank ", rank, " in step ", step, " at ", place, ", tp",
            layout.tensor, " pp", layout.pipeline, ": ", ended.seconds, " s\n",
            good && count < 20 ? "" : ended.output);
    BOOST_TEST_MESSAGE(cat(good ? "named: " : "NOT NAMED: ", what));
    BOOST_TEST(ended.exit_code != 0, what);
    BOOST_TEST(ended.seconds < 60, what);  // on a machine that is all theirs: 5
  }
  std::printf("culprit named in %d of %d stalls\n", right, count);
  BOOST_TEST(right >= 0.95 * count);
}

BOOST_AUTO_TEST_CASE(slow_steps_are_no_stalls) {
  const int steps = setting("MTRAIN_SLOW_STEPS", 100);
  const auto ended = stall("slow", 0, 0, 0, {2, 2}, steps);
  BOOST_TEST(ended.exit_code == 0, ended.output);
  BOOST_TEST(!says(ended.output, "hang"), ended.output);
}

BOOST_AUTO_TEST_CASE(the_real_program_is_watched) {
  if (!test::processes_are_shown()) {
    std::puts("the real program is left out: without /proc its ranks cannot be found");
    return;
  }
  const test::TinyRun run("stall-real");
  test::Outcome outcome;
  const Stopwatch clock;
  std::thread job([&] {
    outcome = run.run(4, test::words("max_steps=100000 hang_timeout=1 save_steps=0 "
                                     "tensor_model_parallel_size=2 logging_steps=5"));
  });
  const pid_t process = await_rank(run.at("deck.ini").string(), 3);
  while (test::read_jsonl(run.at("out") / "trainer_log.jsonl").size() < 2 &&
         clock.seconds() < 60)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  kill(process, SIGSTOP);
  job.join();
  BOOST_TEST(outcome.exit_code == 1, outcome.output);
  BOOST_TEST(named(outcome.output) == 3, outcome.output);
  BOOST_TEST(says(outcome.output, "(its process is stopped)"), outcome.output);
  BOOST_TEST(says(outcome.output, "the other 3 ranks have waited"), outcome.output);
  // Those that live tell where they were.
  for (const int rank : {0, 1, 2}) {
    const auto dump = nlohmann::json::parse(
        test::read_text(run.at("out") / "hang" / cat("rank-0000", rank, ".json")));
    BOOST_TEST(says(dump["place"], "step "));
    BOOST_TEST(dump["idle_seconds"].get<double>() > 0.5);
  }
}

namespace {

/// Runs `program` on two ranks and stops rank 1 once `ready` is there, or at once where
/// it names nothing. Seconds from the stop to the end.
Ended stopped_early(const std::string& program, const test::Words& arguments,
                    const fs::path& ready) {
  Ended ended{};
  Stopwatch clock;
  std::thread job([&] {
    const auto outcome =
        test::run_program(program, 2, arguments, {"MTRAIN_START_TIMEOUT=3"});
    ended = {outcome.exit_code, clock.seconds(), outcome.output};
  });
  const pid_t process = test::await_process(cat(MTRAIN_BINARY_DIR "/bin/", program),
                                            arguments.front(), "OMPI_COMM_WORLD_RANK=1");
  if (!ready.empty()) test::await_file(ready);
  clock.restart();
  kill(process, SIGSTOP);
  job.join();
  return ended;
}

}  // namespace

// Whatever it does then: it loads libraries, MPI starts, inputs are read, data prepared.
BOOST_AUTO_TEST_CASE(a_rank_that_stops_before_the_first_step_is_found) {
  if (!test::processes_are_shown()) return;
  const test::TinyRun run("stall-early");
  const test::Words train = {run.at("deck.ini").string(), "hang_timeout=1",
                             "max_steps=1000000", "logging_steps=1000000"};
  std::string records = "[";
  for (int i = 0; i < 40000; ++i)
    records += cat(i ? "," : "", R"({"instruction": "add 1 to )", i,
                   R"(", "input": "", "output": ")", i + 1, R"("})");
  test::write_text(run.at("a.json"), records + "]");
  test::write_text(run.at("dataset_info.json"), R"({"a": {"file_name": "a.json"}})");
  const test::Words prepare = {run.at("deck.ini").string(),
                               "hang_timeout=1",
                               "stage=sft",
                               "dataset=a",
                               "template=qwen3_nothink",
                               cat("dataset_dir=", run.at("").string()),
                               cat("tokenized_path=", run.at("a.h5").string()),
                               "model_name_or_path=" MTRAIN_SOURCE_DIR
                               "/inputs/demo/model"};
  const std::tuple<std::string, test::Words, fs::path> cases[] = {
      {"mtrain", train, ""},
      {"mtrain", train, run.at("out") / "mtrain.lock"},
      {"mprep", prepare, ""},
      {"mprep", prepare, run.at("a.parts.h5") / "part-1"}};
  for (const auto& [program, arguments, ready] : cases) {
    const auto ended = stopped_early(program, arguments, ready);
    BOOST_TEST(ended.exit_code != 0, ended.output);
    BOOST_TEST(ended.seconds < 20, ended.output);
    BOOST_TEST(says(ended.output, "hang: "), ended.output);
    if (!ready.empty()) BOOST_TEST(named(ended.output) == 1, ended.output);
    fs::remove_all(run.at("out"));
  }
}

BOOST_AUTO_TEST_CASE(a_death_ends_the_run_within_ten_seconds) {
  const auto ended = stall("kill", 2, 4, 7, {2, 2}, 12);
  BOOST_TEST(ended.exit_code != 0);
  BOOST_TEST(ended.seconds < 10, ended.output);
}
