// Training checkpoints: folders checkpoint-STEP/ with manifest.json, one HDF5 file a rank
// and deck.ini. Written under checkpoint-STEP.tmp and renamed once everything is on disk.
// No MPI here: ranks exchange the strings these functions give and take.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mtrain/checkpoint/tensor_source.hpp"

namespace mtrain::checkpoint {

/// Names of the groups of tensors; all use the Hugging Face tensor names.
inline constexpr char kMasterGroup[] = "master";            ///< fp32 master weights
inline constexpr char kFirstMomentGroup[] = "exp_avg";      ///< Adam's first moment
inline constexpr char kSecondMomentGroup[] = "exp_avg_sq";  ///< Adam's second moment
inline constexpr char kWeightsGroup[] = "weights";          ///< weights only, any dtype

/// One rectangle of a logical tensor to store. `data`: contiguous CPU tensor of the box's
/// extent in float32, bfloat16 or float16.
struct NamedPiece {
  std::string group;
  parallel::Box box;
  at::Tensor data;
};

/// Everything of a run that is not a tensor. Layout-free apart from the two informative
/// fields.
struct TrainingState {
  int64_t step = 0;              ///< steps done
  int64_t updates = 0;           ///< updates applied (steps less those skipped for NaN)
  int64_t samples_consumed = 0;  ///< the data cursor
  int64_t tokens = 0;            ///< tokens that entered the model since step 1
  uint64_t seed = 0;
  uint64_t data_seed = 0;
  uint64_t init_seed = 0;
  std::string stage;                         ///< pt, sft, dpo
  std::string model_config_json;             ///< text of config.json
  int world_size = 1;                        ///< informative: ranks that wrote
  std::string layout;                        ///< informative: "tp2 pp2 dp1"
  std::map<std::string, std::string> extra;  ///< anything a later version adds

  bool operator==(const TrainingState&) const = default;
};

/// OUTPUT_DIR/checkpoint-STEP.tmp: where a save in progress lies. What else is put there
/// before commit() (hf/ ...) becomes part of the checkpoint.
std::filesystem::path temporary_folder(const std::filesystem::path& output_dir,
                                       int64_t step);

/// Writes the file of one rank. No file is visible as a checkpoint before commit().
class CheckpointWriter {
 public:
  /// Creates OUTPUT_DIR/checkpoint-STEP.tmp (if no other rank did) and this rank's file
  /// in it. Throws Error naming path and errno.
  CheckpointWriter(const std::filesystem::path& output_dir, int64_t step, int rank,
                   int world);
  CheckpointWriter(CheckpointWriter&&) noexcept;
  ~CheckpointWriter();

  /// Stores the pieces, each as one contiguous dataset; may be called repeatedly. Pieces
  /// without elements are left out. Equal to reserve() and store().
  void write(const std::vector<NamedPiece>& pieces);
  /// Makes room for the pieces; their data are not looked at yet.
  void reserve(const std::vector<NamedPiece>& pieces);
  /// Writes the bytes of reserved pieces. Uses no HDF5, so that another thread may do it
  /// after close(); no other call may run at the same time.
  void store(const std::vector<NamedPiece>& pieces);
  /// Ends the layout and checks that HDF5 reads it back: the last use of HDF5 here.
  void close();
  /// Closes the file, forces it to disk, reads it back and compares every checksum.
  /// Returns this rank's part of the manifest, for commit() on rank 0. As store(), it may
  /// run on another thread after close().
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Turns checkpoint-STEP.tmp into checkpoint-STEP, on one rank after all ranks finished:
/// `rank_summaries` are what finish() returned, in rank order. Checks that every stored
/// tensor is covered without a gap, writes deck.ini and manifest.json, forces all to
/// disk, renames. An older checkpoint of the same step is replaced. Returns the folder.
/// Throws Error; the temporary folder then stays for remove_leftovers().
std::filesystem::path commit(const std::filesystem::path& output_dir, int64_t step,
                             const std::vector<std::string>& rank_summaries,
                             const TrainingState& state, const std::string& deck_text);

/// A committed checkpoint. The manifest is read and checked at once, and that all rank
/// files exist in their sizes; rank files are opened only when a tensor of theirs is
/// read.
class CheckpointReader {
 public:
  /// Throws UserError naming file and reason.
  explicit CheckpointReader(const std::filesystem::path& folder);
  CheckpointReader(CheckpointReader&&) noexcept;
  ~CheckpointReader();

  const std::filesystem::path& folder() const;
  const TrainingState& state() const;
  /// The resolved deck of the run that wrote it; throws UserError when it is damaged.
  std::string deck_text() const;
  /// Names of the groups, sorted.
  std::vector<std::string> groups() const;
  bool has_group(const std::string& name) const;
  /// The tensors of a group, assembled from the boxes that all ranks stored. Reading a
  /// box not fully covered throws UserError. Valid as long as the reader. Throws
  /// UserError when there is no such group.
  const TensorSource& group(const std::string& name) const;

  /// Reads every byte and compares with the manifest's CRCs; returns one line per fault,
  /// with file and tensor (empty: sound). Rank `part` of `parts` checks its share of the
  /// tensors.
  std::vector<std::string> verify(int part, int parts) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Folders OUTPUT_DIR/checkpoint-STEP that hold a manifest.json, newest step first. Links
/// are not followed.
std::vector<std::filesystem::path> list_checkpoints(
    const std::filesystem::path& output_dir);

/// The first of list_checkpoints(), if any.
std::optional<std::filesystem::path> newest_checkpoint(
    const std::filesystem::path& output_dir);

/// Of the checkpoints of OUTPUT_DIR up to step `newest`, removes all but the last `keep`
/// (at least 1); that of step `best` stays in place of the oldest of them, but never in
/// place of the newest. Returns the names of those removed. Each is renamed to a
/// temporary name first, so an interrupted removal leaves no half checkpoint. Call it
/// only after that of step `newest` verified.
std::vector<std::string> prune_checkpoints(const std::filesystem::path& output_dir,
                                           int keep, int64_t newest,
                                           std::optional<int64_t> best);

/// Removes what interrupted saves left in OUTPUT_DIR (checkpoint-STEP.tmp,
/// *.safetensors.tmp, model.safetensors.index.json.tmp); returns the names.
std::vector<std::string> remove_leftovers(const std::filesystem::path& output_dir);

}  // namespace mtrain::checkpoint
