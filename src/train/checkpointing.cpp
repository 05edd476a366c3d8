// Connects optimizer state with the checkpoint layer; used by the trainer and by
// mconvert.
#include "checkpointing.hpp"

#include "model_files.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/stop_request.hpp"
#include "mtrain/checkpoint/convert.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "progress.hpp"

namespace mtrain::train {

namespace fs = std::filesystem;

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
    const auto show = [&](int64_t done, int64_t total) {
      progress.update(done, total);
      throw_if_stop_requested();
    };
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
    writer->commit(summaries);
    write_hf_side_files(options);
  });
}

std::vector<checkpoint::TensorInfo> tensor_plan(const HfExport& options) {
  const auto config =
      models::parse_model_config(options.config_text, "config.json of the checkpoint");
  return tensor_plan(*config, options.dtype);
}

void write_hf_side_files(const HfExport& options) {
  checkpoint::write_file_atomically(options.folder / "config.json",
                                    published_config(options.config_text, options.dtype));
  checkpoint::write_file_atomically(options.folder / "generation_config.json",
                                    generation_config(options.config_text));
  if (!options.tokenizer_dir.empty())
    checkpoint::copy_tokenizer_files(options.tokenizer_dir, options.folder);
}

}  // namespace mtrain::train
