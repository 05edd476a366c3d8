// Connects optimizer state with the checkpoint layer; used by the trainer and by
// mconvert.
#include "checkpointing.hpp"

#include <unistd.h>

#include "model_files.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/checkpoint/convert.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "output_check.hpp"
#include "progress.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

/// Whether a run tells of itself under this name in its output_dir.
bool is_record_of_run(const std::string& name) {
  for (const char* known : {"trainer_log.jsonl", "run_summary.json", "runs", "logs",
                            "hang", "training_loss.svg", "moe_load.svg"})
    if (name == known) return true;
  return name.starts_with("trace-step-") && name.ends_with(".json");
}

/// Token stores are what a run that failed early leaves, and, where it died before its
/// first checkpoint, a log; anything else is somebody's.
bool holds_only_beginnings(const fs::path& dir, bool may_resume) {
  for (const auto& entry : fs::directory_iterator(dir)) {
    const bool record = may_resume && is_record_of_run(entry.path().filename());
    if (!record && entry.path().extension() != ".h5") return false;
  }
  return true;
}

}  // namespace

void remove_earlier_run(const fs::path& dir) {
  for (const auto& folder : checkpoint::list_checkpoints(dir)) fs::remove_all(folder);
  std::vector<fs::path> records;
  for (const auto& entry : fs::directory_iterator(dir))
    if (is_record_of_run(entry.path().filename())) records.push_back(entry.path());
  for (const auto& record : records) fs::remove_all(record);
}

bool continues_in(const fs::path& output_dir, const std::optional<fs::path>& checkpoint) {
  if (!checkpoint) return false;
  std::error_code missing;
  const fs::path folder = fs::weakly_canonical(fs::absolute(*checkpoint), missing);
  return fs::equivalent(folder.parent_path(), output_dir, missing);
}

void prepare_output_dir(const config::Deck& deck, bool continues) {
  const fs::path dir = deck.checkpoint.output_dir;
  std::error_code error;
  if (!continues) refuse_model_as_output(deck, dir);
  if (fs::exists(dir, error) && !fs::is_directory(dir, error)) {
    throw UserError(cat("output_dir: ", dir.string(), " is not a folder"),
                    "name a folder that can be created or written");
  }
  fs::create_directories(dir, error);
  if (error || access(dir.c_str(), W_OK) != 0) {
    throw UserError(cat("output_dir: cannot write to ", dir.string(),
                        error ? ": " + error.message() : std::string()),
                    "choose a folder you may write to");
  }
  checkpoint::remove_leftovers(dir);
  if (continues || deck.checkpoint.overwrite_output_dir) return;
  const bool resumable = !checkpoint::list_checkpoints(dir).empty();
  // The same command must do after a run was killed, whenever that was.
  const bool may_resume = deck.model.resume_from_checkpoint == "auto";
  if (!resumable && holds_only_beginnings(dir, may_resume)) return;
  const bool run = resumable || fs::exists(dir / "trainer_log.jsonl");
  const bool model = checkpoint::holds_safetensors(dir);
  throw UserError(cat("output_dir: ", dir.string(), " already holds ",
                      run     ? "a training run"
                      : model ? "a model"
                              : "other files"),
                  cat("set overwrite_output_dir = true",
                      resumable ? ", or resume_from_checkpoint = auto" : "",
                      ", or choose another folder"));
}

const checkpoint::TensorSource& weights_of(const checkpoint::CheckpointReader& reader) {
  const bool master = reader.has_group(checkpoint::kMasterGroup);
  return reader.group(master ? checkpoint::kMasterGroup : checkpoint::kWeightsGroup);
}

at::ScalarType saved_dtype(const checkpoint::TrainingState& state) {
  const auto found = state.extra.find(kDtypeField);
  return found != state.extra.end() && found->second == "bfloat16"  ? at::kBFloat16
         : found != state.extra.end() && found->second == "float16" ? at::kHalf
                                                                    : at::kFloat;
}

void require_moments(const checkpoint::CheckpointReader& reader) {
  // Before the first step the moments are zero by definition (mconvert from-hf).
  if (reader.has_group(checkpoint::kFirstMomentGroup) || reader.state().step == 0) return;
  throw UserError(
      cat(reader.folder().string(), " holds weights only, no optimizer state"),
      "convert it with mconvert to-hf and start a new run from the result");
}

void restore(const checkpoint::CheckpointReader& reader, parallel::ParamBuffer& buffer,
             parallel::Optimizer& optimizer) {
  const auto& weights = weights_of(reader);
  load_weights(buffer, weights);
  const bool moments = reader.has_group(checkpoint::kFirstMomentGroup);
  for (auto& piece : optimizer.pieces(false)) {
    piece.master.copy_(weights.read(piece.box));
    if (!moments) continue;
    piece.exp_avg.copy_(reader.group(checkpoint::kFirstMomentGroup).read(piece.box));
    piece.exp_avg_sq.copy_(reader.group(checkpoint::kSecondMomentGroup).read(piece.box));
  }
}

void export_hf(const checkpoint::CheckpointReader& reader, const HfExport& options,
               const comm::Session& session) {
  // Written while still in the processor's cache.
  constexpr int64_t kChunkBytes = int64_t{4} << 20;
  const auto plan = tensor_plan(options);
  std::optional<checkpoint::SafetensorsWriter> writer;
  session.agree([&] {
    if (session.rank() != 0) return;
    fs::create_directories(options.folder);
    writer.emplace(checkpoint::SafetensorsWriter::create(options.folder, plan,
                                                         options.max_shard_bytes));
  });
  std::string summary;
  session.agree([&] {
    if (!writer) {
      writer.emplace(checkpoint::SafetensorsWriter::join(options.folder, plan,
                                                         options.max_shard_bytes));
    }
    Progress progress(options.folder.string(), session.rank() == 0);
    const auto show = [&](int64_t done, int64_t total) { progress.update(done, total); };
    checkpoint::convert(weights_of(reader), plan,
                        {session.rank(), session.world_size(), kChunkBytes, show},
                        [&](const parallel::Box& box, const at::Tensor& data) {
                          writer->write(box, data);
                        });
    summary = writer->summary();
  });
  const auto summaries = session.all_gather_text(summary);
  session.agree([&] {
    if (session.rank() != 0) return;
    const std::string weights = writer->commit(summaries);
    checkpoint::write_side_files(options.folder, *options.side_files, weights);
  });
}

std::vector<checkpoint::TensorInfo> tensor_plan(const HfExport& options) {
  const auto config =
      models::parse_model_config(options.config_text, "config.json of the checkpoint");
  return tensor_plan(*config, options.dtype);
}

}  // namespace mtrain::train
