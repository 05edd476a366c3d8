// Every input and output call of a save fails once, in every way: the older checkpoint
// stays whole, and the message names path and reason.
#define BOOST_TEST_MODULE io_fault
#include <cerrno>
#include <cstring>

#include "mtrain/base/file.hpp"
#include "mtrain/checkpoint/convert.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "saved.hpp"
#include "support/fault_shim.hpp"

using namespace mtrain;
using namespace mtrain::checkpoint;
using namespace mtrain::checkpoint::test;
using mtrain::test::FaultPlan;

namespace {

constexpr int kRanks = 2;

std::vector<NamedPiece> pieces_of(int rank) {
  std::vector<NamedPiece> pieces;
  for (const auto& info : model_tensors()) {
    if (info.shape.empty() && rank > 0) continue;
    Box box = all_of(info.name, info.shape);
    if (!info.shape.empty()) {
      const int64_t half = info.shape[0] / kRanks;
      box.offset[0] = rank * half;
      box.extent[0] = rank == 0 ? half : info.shape[0] - half;
    }
    for (const auto& group : training_groups())
      pieces.push_back({group, box, slice(stored_values(group, info), box)});
  }
  return pieces;
}

/// A save with all that belongs to it: rank files, hf/, commit, pruning to one.
void save_whole(const fs::path& dir, int64_t step) {
  std::vector<std::string> summaries, hf_summaries;
  const fs::path hf = temporary_folder(dir, step) / "hf";
  std::vector<CheckpointWriter> writers;
  for (int rank = 0; rank < kRanks; ++rank) {
    writers.emplace_back(dir, step, rank, kRanks);
    writers.back().reserve(pieces_of(rank));
    writers.back().close();
  }
  std::vector<SafetensorsWriter> exports;
  exports.push_back(SafetensorsWriter::create(hf, model_tensors(), 300));
  exports.push_back(SafetensorsWriter::join(hf, model_tensors(), 300));
  for (int rank = 0; rank < kRanks; ++rank) {
    const auto at = static_cast<size_t>(rank);
    writers[at].store(pieces_of(rank));
    for (const auto& piece : pieces_of(rank))
      if (piece.group == kMasterGroup) exports[at].write(piece.box, piece.data);
    summaries.push_back(writers[at].finish());
    hf_summaries.push_back(exports[at].summary());
  }
  exports[0].commit(hf_summaries);
  write_file_atomically(hf / "config.json", "{}");
  commit(dir, step, summaries, sample_state(step, kRanks), "deck");
  prune_checkpoints(dir, 1, step, {});
}

bool is_sound(const fs::path& folder) {
  return CheckpointReader(folder).verify(0, 1).empty();
}

/// What must hold after a save of step 2 over a sound checkpoint of step 1, however it
/// ended.
void check_nothing_lost(const fs::path& dir, const std::string& what) {
  const auto all = list_checkpoints(dir);
  BOOST_REQUIRE_MESSAGE(!all.empty(), what);
  for (const auto& folder : all) BOOST_TEST(is_sound(folder), what << folder);
  // What a restart does: nothing by hand.
  remove_leftovers(dir);
  save_whole(dir, 2);
  BOOST_TEST(*newest_checkpoint(dir) == dir / "checkpoint-2", what);
  BOOST_TEST(is_sound(dir / "checkpoint-2"), what);
}

long calls_of_a_save() {
  const Scratch scratch;
  save_whole(scratch, 1);
  mtrain::test::arm_fault(
      {FaultPlan::Action::kNone, -1, 0, static_cast<const fs::path&>(scratch).string()});
  save_whole(scratch, 2);
  return mtrain::test::disarm_fault();
}

/// True when the save failed; then the message names a path and the reason.
bool save_fails(const fs::path& dir, const FaultPlan& plan, const std::string& what) {
  mtrain::test::arm_fault(plan);
  std::string message;
  try {
    save_whole(dir, 2);
  } catch (const std::exception& fault) {
    message = fault.what();
  }
  mtrain::test::disarm_fault();
  if (message.empty()) return false;
  BOOST_TEST(message.find(dir.string()) != std::string::npos, what << message);
  BOOST_TEST(message.find(std::strerror(plan.code)) != std::string::npos,
             what << message);
  return true;
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_call_fails_once) {
  const long calls = calls_of_a_save();
  BOOST_TEST(calls > 100);
  for (const int code : {ENOSPC, EIO, EROFS})
    for (long number = 0; number < calls; ++number) {
      const Scratch scratch;
      save_whole(scratch, 1);
      const std::string what = cat("call ", number, " fails with ", code, ": ");
      const FaultPlan plan{FaultPlan::Action::kFail, number, code,
                           static_cast<const fs::path&>(scratch).string()};
      BOOST_TEST(save_fails(scratch, plan, what), what << "nobody noticed");
      check_nothing_lost(scratch, what);
    }
  BOOST_TEST_MESSAGE(calls << " calls, each failed in 3 ways");
}

BOOST_AUTO_TEST_CASE(short_writes_are_completed) {
  const long calls = calls_of_a_save();
  for (long number = 0; number < calls; ++number) {
    const Scratch scratch;
    save_whole(scratch, 1);
    const FaultPlan plan{FaultPlan::Action::kShort, number, 0,
                         static_cast<const fs::path&>(scratch).string()};
    BOOST_TEST(!save_fails(scratch, plan, cat("call ", number, ": ")));
    BOOST_TEST(is_sound(scratch / "checkpoint-2"));
  }
}

BOOST_AUTO_TEST_CASE(a_disk_that_fills_up) {
  const long calls = calls_of_a_save();
  int failed = 0;
  for (long number = 0; number < calls; ++number) {
    const Scratch scratch;
    save_whole(scratch, 1);
    const std::string what = cat("full at call ", number, ": ");
    const FaultPlan plan{FaultPlan::Action::kShortThenFull, number, ENOSPC,
                         static_cast<const fs::path&>(scratch).string()};
    failed += save_fails(scratch, plan, what) ? 1 : 0;
    check_nothing_lost(scratch, what);
  }
  BOOST_TEST(failed > 20);
}
