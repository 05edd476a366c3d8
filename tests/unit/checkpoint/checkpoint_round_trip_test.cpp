// Training checkpoints: what goes in comes out, in any split; the commit and the scan.
#include <hdf5.h>

#include "saved.hpp"

using namespace mtrain;
using namespace mtrain::checkpoint;
using namespace mtrain::checkpoint::test;

namespace {

void check_group(const CheckpointReader& reader, const std::string& group,
                 unsigned seed) {
  std::mt19937 random(seed);
  const TensorSource& source = reader.group(group);
  BOOST_TEST(source.tensors().size() == model_tensors().size());
  for (const TensorInfo& info : model_tensors()) {
    const at::Tensor whole = stored_values(group, info);
    BOOST_TEST((source.find(info.name)->shape == info.shape));
    BOOST_TEST(same_bytes(source.read(all_of(info.name, info.shape)), whole));
    for (const Box& box : random_split(all_of(info.name, info.shape), 9, random))
      BOOST_TEST(same_bytes(source.read(box), slice(whole, box)));
  }
}

/// One rank, one piece; returns its summary.
std::string write_rank(const fs::path& dir, int rank, int world,
                       const NamedPiece& piece) {
  CheckpointWriter writer(dir, 1, rank, world);
  writer.write({piece});
  return writer.finish();
}

NamedPiece rows(int64_t first, int64_t count) {
  const at::Tensor whole = numbered({6, 2}, at::kFloat, 0);
  const Box box{"w", {6, 2}, {first, 0}, {count, 2}};
  return {kMasterGroup, box, slice(whole, box)};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint_round_trip)

BOOST_AUTO_TEST_CASE(any_split_reads_back_in_any_other) {
  for (const int world : {1, 2, 5})
    for (unsigned seed = 0; seed < 4; ++seed) {
      const Scratch scratch;
      const CheckpointReader reader(save(scratch, 30, world, seed, training_groups()));
      BOOST_TEST(reader.groups().size() == 3);
      for (const std::string& group : training_groups())
        check_group(reader, group, seed + 100);
      BOOST_TEST(reader.verify(0, 1).empty());
    }
}

BOOST_AUTO_TEST_CASE(state_and_deck_come_back) {
  const Scratch scratch;
  const CheckpointReader reader(save(scratch, 30, 2, 0, training_groups()));
  BOOST_TEST((reader.state() == sample_state(30, 2)));
  BOOST_TEST(reader.deck_text() == "[train]\nseed = 1\n");
  BOOST_TEST(reader.folder() == scratch / "checkpoint-30");
  refuses<UserError>([&] { reader.group("weights"); }, {"weights", "exp_avg"});
  BOOST_TEST(!reader.has_group("weights"));
}

BOOST_AUTO_TEST_CASE(every_stored_dtype_keeps_its_bits) {
  const Scratch scratch;
  CheckpointWriter writer(scratch, 0, 0, 1);
  std::vector<NamedPiece> pieces;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf})
    for (const Shape& shape :
         {Shape{}, Shape{5}, Shape{3, 4}, Shape{2, 3, 4}, Shape{40, 300}}) {
      const std::string name =
          cat(c10::toString(dtype), shape.size(), "x", parallel::numel(shape));
      pieces.push_back({kWeightsGroup, all_of(name, shape), numbered(shape, dtype, 1)});
    }
  writer.write(pieces);
  const auto folder = commit(scratch, 0, {writer.finish()}, sample_state(0, 1), "");
  const CheckpointReader reader(folder);
  const TensorSource& source = reader.group(kWeightsGroup);
  for (const NamedPiece& piece : pieces)
    BOOST_TEST(same_bytes(source.read(piece.box), piece.data));
}

BOOST_AUTO_TEST_CASE(replicas_may_overlap) {
  const Scratch scratch;
  const std::vector<std::string> summaries = {write_rank(scratch, 0, 3, rows(0, 4)),
                                              write_rank(scratch, 1, 3, rows(1, 4)),
                                              write_rank(scratch, 2, 3, rows(2, 4))};
  const CheckpointReader reader(commit(scratch, 1, summaries, sample_state(1, 3), ""));
  BOOST_TEST(same_bytes(reader.group(kMasterGroup).read(all_of("w", {6, 2})),
                        numbered({6, 2}, at::kFloat, 0)));
}

BOOST_AUTO_TEST_CASE(ranks_without_tensors_and_pieces_without_elements_are_fine) {
  const Scratch scratch;
  CheckpointWriter idle(scratch, 1, 0, 2);
  idle.write({{kMasterGroup, {"w", {6, 2}, {3, 0}, {0, 2}}, at::zeros({0, 2})}});
  const std::string nothing = idle.finish();
  const std::string all = write_rank(scratch, 1, 2, rows(0, 6));
  const CheckpointReader reader(
      commit(scratch, 1, {nothing, all}, sample_state(1, 2), ""));
  BOOST_TEST(reader.group(kMasterGroup).tensors().size() == 1);
  BOOST_TEST(reader.verify(0, 1).empty());
}

BOOST_AUTO_TEST_CASE(a_gap_is_never_committed) {
  const Scratch scratch;
  const std::vector<std::string> summaries = {write_rank(scratch, 0, 2, rows(0, 3)),
                                              write_rank(scratch, 1, 2, rows(4, 2))};
  refuses<Error>([&] { commit(scratch, 1, summaries, sample_state(1, 2), ""); },
                 {"no rank stored", "master/w[3:4, 0:2]"});
  BOOST_TEST(!newest_checkpoint(scratch).has_value());
}

BOOST_AUTO_TEST_CASE(commit_refuses_a_wrong_set_of_ranks) {
  const Scratch scratch;
  const std::string first = write_rank(scratch, 0, 2, rows(0, 3));
  const std::string second = write_rank(scratch, 1, 2, rows(3, 3));
  const auto refused = [&](const std::vector<std::string>& summaries, int64_t step) {
    BOOST_CHECK_THROW(commit(scratch, step, summaries, sample_state(1, 2), ""),
                      std::exception);
  };
  refused({first}, 1);
  refused({second, first}, 1);
  refused({first, second, second}, 1);
  refused({first, second}, 2);
  refused({}, 1);
  refused({first, "{}"}, 1);
  fs::resize_file(scratch / "checkpoint-1.tmp/rank-00001.h5", 10);
  refused({first, second}, 1);
  fs::remove(scratch / "checkpoint-1.tmp/rank-00001.h5");
  refused({first, second}, 1);
  BOOST_TEST(!newest_checkpoint(scratch).has_value());
}

BOOST_AUTO_TEST_CASE(pieces_that_make_no_sense_are_refused) {
  const Scratch scratch;
  CheckpointWriter writer(scratch, 1, 0, 1);
  writer.write({rows(0, 2)});
  const auto refused = [&](const NamedPiece& piece, const std::string& word) {
    refuses<Error>([&] { writer.write({piece}); }, {word});
  };
  refused(rows(0, 2), "twice");
  refused({kMasterGroup, {"w", {6, 2}, {5, 0}, {2, 2}}, at::zeros({2, 2})}, "outside");
  refused({kMasterGroup, {"w", {6, 2}, {2, 0}, {2, 2}}, at::zeros({4})}, "extent");
  refused({kMasterGroup, {"w", {6, 2}, {2, 0}, {2, 2}}, at::zeros({2, 2}).t()[0]},
          "extent");
  refused({kMasterGroup, all_of("a/b", {2}), at::zeros({2})}, "a/b");
  refused({kMasterGroup, all_of("", {2}), at::zeros({2})}, "name");
  refused({"no/group", all_of("a", {2}), at::zeros({2})}, "no/group");
  refused({kMasterGroup, all_of("d", {2}), at::zeros({2}).to(at::kDouble)}, "float64");
}

BOOST_AUTO_TEST_CASE(equal_saves_write_equal_files) {
  const Scratch a, b;
  save(a, 3, 2, 7, training_groups());
  save(b, 3, 2, 7, training_groups());
  for (const char* name : {"manifest.json", "rank-00000.h5", "rank-00001.h5", "deck.ini"})
    BOOST_TEST(
        (read_file(a / "checkpoint-3" / name) == read_file(b / "checkpoint-3" / name)));
}

BOOST_AUTO_TEST_CASE(no_time_of_creation_is_stored) {
  const Scratch scratch;
  const fs::path path = save(scratch, 3, 1, 0, {kMasterGroup}) / "rank-00000.h5";
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  for (const char* name : {"/master", "/master/model.norm.weight@0"}) {
    H5O_info_t info;
    BOOST_REQUIRE(H5Oget_info_by_name2(file, name, &info, H5O_INFO_TIME, H5P_DEFAULT) >=
                  0);
    BOOST_TEST(info.btime == 0);
    BOOST_TEST(info.mtime == 0);
  }
  H5Fclose(file);
}

BOOST_AUTO_TEST_CASE(a_save_of_the_same_step_replaces_the_older) {
  const Scratch scratch;
  save(scratch, 3, 2, 7, training_groups());
  save(scratch, 3, 1, 8, {kWeightsGroup});
  const CheckpointReader reader(scratch / "checkpoint-3");
  BOOST_TEST(reader.groups().size() == 1);
  BOOST_TEST(!fs::exists(scratch / "checkpoint-3.tmp"));
  BOOST_TEST(!fs::exists(scratch / "checkpoint-3/rank-00001.h5"));
}

BOOST_AUTO_TEST_CASE(the_newest_is_found_by_scanning) {
  const Scratch scratch;
  BOOST_TEST(!newest_checkpoint(scratch).has_value());
  BOOST_TEST(!newest_checkpoint(scratch / "none").has_value());
  for (const int64_t step : {9, 100, 20}) save(scratch, step, 1, 0, {kWeightsGroup});
  fs::create_directory(scratch / "checkpoint-500");  // no manifest
  fs::create_directory(scratch / "checkpoint-600.tmp");
  for (const char* name :
       {"checkpoint-0700", "checkpoint-", "checkpoint-x", "checkpoint-7e2",
        "checkpoint--8", "checkpoint-99999999999999999999", "xcheckpoint-900"})
    fs::copy(scratch / "checkpoint-9", scratch / name);
  fs::create_directory_symlink("checkpoint-9", scratch / "checkpoint-800");
  const auto all = list_checkpoints(scratch);
  BOOST_REQUIRE(all.size() == 3);
  BOOST_TEST(all[0] == scratch / "checkpoint-100");
  BOOST_TEST(all[1] == scratch / "checkpoint-20");
  BOOST_TEST(all[2] == scratch / "checkpoint-9");
  BOOST_TEST(*newest_checkpoint(scratch) == all[0]);
}

BOOST_AUTO_TEST_CASE(leftovers_and_nothing_else_are_removed) {
  const Scratch scratch;
  save(scratch, 9, 1, 0, {kWeightsGroup});
  CheckpointWriter(scratch, 10, 0, 2);
  for (const char* name : {"model-00001-of-00002.safetensors.tmp", "config.json.tmp",
                           "notes.tmp", "model.safetensors", "checkpoint-12.tmp"})
    write_file(scratch / name, "x");
  fs::create_directory_symlink("checkpoint-9", scratch / "checkpoint-11.tmp");
  const auto removed = remove_leftovers(scratch);
  BOOST_TEST(
      (removed == std::vector<std::string>{"checkpoint-10.tmp", "config.json.tmp",
                                           "model-00001-of-00002.safetensors.tmp"}));
  BOOST_TEST(CheckpointReader(scratch / "checkpoint-9").verify(0, 1).empty());
  for (const char* name :
       {"notes.tmp", "model.safetensors", "checkpoint-11.tmp", "checkpoint-12.tmp"})
    BOOST_TEST(fs::exists(scratch / name));
  BOOST_TEST(remove_leftovers(scratch / "none").empty());
}

BOOST_AUTO_TEST_CASE(pruning_keeps_the_newest) {
  const Scratch scratch;
  for (const int64_t step : {1, 10, 2}) save(scratch, step, 1, 0, {kWeightsGroup});
  fs::create_directory(scratch / "checkpoint-2.tmp");
  BOOST_TEST(prune_checkpoints(scratch, 3, 10, {}).empty());
  BOOST_TEST((prune_checkpoints(scratch, 1, 10, {}) ==
              std::vector<std::string>{"checkpoint-2", "checkpoint-1"}));
  BOOST_TEST(list_checkpoints(scratch).size() == 1);
  BOOST_TEST(CheckpointReader(scratch / "checkpoint-10").verify(0, 1).empty());
  BOOST_TEST(!fs::exists(scratch / "checkpoint-2.tmp"));
  BOOST_CHECK_THROW(prune_checkpoints(scratch, 0, 10, {}), Error);
}

// transformers' rule: the best counts among the checkpoints kept, but for the newest.
BOOST_AUTO_TEST_CASE(pruning_keeps_the_best) {
  using Names = std::vector<std::string>;
  const auto left = [](int keep, int64_t best) {
    const Scratch scratch;
    for (const int64_t step : {1, 2, 3, 4}) save(scratch, step, 1, 0, {kWeightsGroup});
    prune_checkpoints(scratch, keep, 4, best);
    Names names;
    for (const auto& folder : list_checkpoints(scratch))
      names.push_back(folder.filename());
    return names;
  };
  BOOST_TEST((left(1, 2) == Names{"checkpoint-4", "checkpoint-2"}));
  BOOST_TEST((left(2, 2) == Names{"checkpoint-4", "checkpoint-2"}));
  BOOST_TEST((left(3, 1) == Names{"checkpoint-4", "checkpoint-3", "checkpoint-1"}));
  BOOST_TEST((left(2, 3) == Names{"checkpoint-4", "checkpoint-3"}));
  BOOST_TEST((left(1, 4) == Names{"checkpoint-4"}));
  BOOST_TEST((left(2, 9) == Names{"checkpoint-4", "checkpoint-3"}));
}

// As after a fall back from a damaged checkpoint-10: the limit never costs the one just
// written.
BOOST_AUTO_TEST_CASE(pruning_leaves_later_checkpoints_alone) {
  const Scratch scratch;
  for (const int64_t step : {1, 10, 2}) save(scratch, step, 1, 0, {kWeightsGroup});
  BOOST_TEST(
      (prune_checkpoints(scratch, 1, 2, {}) == std::vector<std::string>{"checkpoint-1"}));
  BOOST_TEST(list_checkpoints(scratch).size() == 2);
}

BOOST_AUTO_TEST_CASE(a_rank_that_starts_anew_overwrites_its_half_written_file) {
  const Scratch scratch;
  fs::create_directory(scratch / "checkpoint-1.tmp");
  write_file(scratch / "precious", "keep me");
  fs::create_symlink("../precious", scratch / "checkpoint-1.tmp/rank-00000.h5");
  const std::string summary = write_rank(scratch, 0, 1, rows(0, 6));
  commit(scratch, 1, {summary}, sample_state(1, 1), "");
  BOOST_TEST(read_file(scratch / "precious") == "keep me");
}

BOOST_AUTO_TEST_CASE(a_checkpoint_needs_only_the_files_it_reads) {
  const Scratch scratch;
  const std::vector<std::string> summaries = {write_rank(scratch, 0, 2, rows(0, 3)),
                                              write_rank(scratch, 1, 2, rows(3, 3))};
  const CheckpointReader reader(commit(scratch, 1, summaries, sample_state(1, 2), ""));
  fs::remove(scratch / "checkpoint-1/rank-00001.h5");
  BOOST_TEST(
      same_bytes(reader.group(kMasterGroup).read({"w", {6, 2}, {1, 0}, {2, 2}}),
                 slice(numbered({6, 2}, at::kFloat, 0), {"w", {6, 2}, {1, 0}, {2, 2}})));
  refuses<UserError>(
      [&] {
        reader.group(kMasterGroup).read(all_of("w", {6, 2}));
      },
      {"rank-00001.h5"});
}

BOOST_AUTO_TEST_CASE(unwritable_places_are_named) {
  refuses<Error>([] { CheckpointWriter("/proc/none", 1, 0, 1); },
                 {"/proc/none", "errno"});
  const Scratch scratch;
  write_file(scratch / "checkpoint-1.tmp", "a file in the way");
  refuses<Error>([&] { CheckpointWriter(scratch, 1, 0, 1); },
                 {"checkpoint-1.tmp", "errno"});
}

BOOST_AUTO_TEST_SUITE_END()
