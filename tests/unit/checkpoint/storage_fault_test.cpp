// Storage that refuses: a file size limit stands for a full disk. The old checkpoint
// stays whole, and the message names path and errno.
#include <sys/resource.h>

#include <csignal>

#include "mtrain/base/file.hpp"
#include "mtrain/checkpoint/convert.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "saved.hpp"

using namespace mtrain;
using namespace mtrain::checkpoint;
using namespace mtrain::checkpoint::test;

namespace {

/// Files of this process can't grow beyond `bytes` while in scope; writes fail with EFBIG
/// (27).
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) : signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SmallDisk() {
    setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, signal_);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

 private:
  rlimit old_{};
  void (*signal_)(int);
};

}  // namespace

BOOST_AUTO_TEST_SUITE(storage_faults)

BOOST_AUTO_TEST_CASE(a_save_that_does_not_fit_leaves_the_older_checkpoint) {
  for (const rlim_t limit : {100, 3000, 5000, 20'000, 100'000, 200'000}) {
    const Scratch scratch;
    save(scratch, 1, 1, 0, {kMasterGroup});
    {
      const SmallDisk disk(limit);
      refuses<Error>(
          [&] {
            CheckpointWriter writer(scratch, 2, 0, 1);
            for (int i = 0; i < 3; ++i)
              writer.write(
                  {{kMasterGroup, all_of(cat("w", i), {20'000}), at::zeros({20'000})}});
            commit(scratch, 2, {writer.finish()}, sample_state(2, 1), "");
          },
          {"rank-00000.h5", "errno 27"});
    }
    BOOST_TEST(*newest_checkpoint(scratch) == scratch / "checkpoint-1");
    BOOST_TEST(CheckpointReader(scratch / "checkpoint-1").verify(0, 1).empty());
    BOOST_TEST(remove_leftovers(scratch).size() == 1);
    save(scratch, 2, 1, 0, {kMasterGroup});
    BOOST_TEST(*newest_checkpoint(scratch) == scratch / "checkpoint-2");
  }
}

BOOST_AUTO_TEST_CASE(a_commit_that_does_not_fit_commits_nothing) {
  const Scratch scratch;
  CheckpointWriter writer(scratch, 2, 0, 1);
  writer.write({{kMasterGroup, all_of("w", {8}), at::zeros({8})}});
  const std::string summary = writer.finish();
  const auto attempt = [&] { commit(scratch, 2, {summary}, sample_state(2, 1), "deck"); };
  {
    const SmallDisk disk(3);
    refuses<Error>(attempt, {"deck.ini", "errno 27"});
  }
  {
    const SmallDisk disk(100);
    refuses<Error>(attempt, {"manifest.json", "errno 27"});
  }
  BOOST_TEST(!newest_checkpoint(scratch).has_value());
  attempt();  // the rank files are still good
  BOOST_TEST(CheckpointReader(scratch / "checkpoint-2").verify(0, 1).empty());
}

BOOST_AUTO_TEST_CASE(an_export_that_does_not_fit_names_the_file) {
  const Scratch scratch;
  write_file(scratch / "config.json", "old");
  const SmallDisk disk(1000);
  refuses<Error>(
      [&] {
        SafetensorsWriter::create(scratch, {{"w", {500}, at::kFloat}}, 1 << 20);
      },
      {"model.safetensors", "errno 27"});
  refuses<Error>(
      [&] { write_file_atomically(scratch / "config.json", std::string(1001, 'x')); },
      {"config.json", "errno 27"});
  BOOST_TEST(read_file(scratch / "config.json") == "old");
  BOOST_TEST(!holds_safetensors(scratch));
}

BOOST_AUTO_TEST_SUITE_END()
