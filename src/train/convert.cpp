// Whole-model conversion; the mconvert program calls one function per command.
#include "mtrain/train/convert.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "checkpointing.hpp"
#include "model_files.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/base/stop_request.hpp"
#include "mtrain/base/timer.hpp"
#include "mtrain/checkpoint/convert.hpp"
#include "mtrain/checkpoint/inspect.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "output_lock.hpp"
#include "progress.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kChunkBytes = int64_t{64} << 20;

/// A checkpoint folder itself, or the newest one inside a folder of them.
fs::path resolve_checkpoint(const std::string& given) {
  if (fs::exists(fs::path(given) / "manifest.json")) return given;
  if (const auto newest = checkpoint::newest_checkpoint(given)) return *newest;
  throw UserError(cat(given, ": no checkpoint here"),
                  "name a checkpoint-STEP folder (with manifest.json), or its parent");
}

at::ScalarType parse_dtype(const std::string& text, at::ScalarType automatic) {
  if (text == "auto") return automatic;
  if (text == "float32") return at::kFloat;
  if (text == "bfloat16") return at::kBFloat16;
  throw UserError(cat("--dtype ", text, " is not known"),
                  "use auto, float32 or bfloat16");
}

/// "500MB" in bytes; decimal units as transformers' max_shard_size.
int64_t parse_size(const std::string& text) {
  size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = used > 0 ? text.substr(used) : "?";
  const double scale = unit == "GB" ? 1e9 : unit == "MB" ? 1e6 : unit == "KB" ? 1e3 : 0;
  if (scale == 0 || !(value > 0) || value * scale > 9e18) {
    throw UserError(cat("--max-shard-size ", text, " is not a size"), "use 500MB or 5GB");
  }
  return static_cast<int64_t>(value * scale);
}

/// The model's tensors, each in the dtype it is stored in.
std::vector<checkpoint::TensorInfo> own_dtypes(const models::ModelConfig& config,
                                               const checkpoint::TensorSource& source) {
  auto plan = tensor_plan(config, config.dtype());
  for (auto& tensor : plan) tensor.dtype = source.find(tensor.name)->dtype;
  return plan;
}

/// Opens either kind of folder for reading its weights.
struct AnyWeights {
  explicit AnyWeights(const std::string& folder) {
    if (checkpoint::holds_safetensors(folder)) {
      hf = checkpoint::open_safetensors(folder);
    } else {
      reader.emplace(resolve_checkpoint(folder));
    }
  }
  const checkpoint::TensorSource& tensors() const {
    return hf ? *hf : weights_of(*reader);
  }

  std::unique_ptr<checkpoint::TensorSource> hf;
  std::optional<checkpoint::CheckpointReader> reader;
};

}  // namespace

void to_hf(const std::string& checkpoint, const std::string& hf_dir,
           const ConvertFlags& flags, const comm::Session& session) {
  const Stopwatch clock;
  std::optional<checkpoint::CheckpointReader> reader;
  HfExport options;
  session.agree([&] {
    reader.emplace(resolve_checkpoint(checkpoint));
    const auto& state = reader->state();
    options.folder = hf_dir;
    options.config_text = state.model_config_json;
    options.dtype = parse_dtype(flags.dtype, saved_dtype(state));
    options.max_shard_bytes = parse_size(flags.max_shard_size);
    const auto tokenizer = state.extra.find(kTokenizerDirField);
    if (tokenizer != state.extra.end()) options.tokenizer_dir = tokenizer->second;
  });
  session.agree([&] {
    if (session.rank() == 0) fs::create_directories(options.folder);
  });
  const auto lock = lock_for_all(session, options.folder / kFolderLock, hf_dir);
  export_hf(*reader, options, session);
  log::info(cat(reader->folder().string(), " -> ", hf_dir, ": ",
                weights_of(*reader).tensors().size(), " tensors in ", clock.seconds(),
                " s"));
}

void from_hf(const std::string& hf_dir, const std::string& checkpoint,
             const comm::Session& session) {
  const Stopwatch clock;
  const fs::path target = checkpoint, work = checkpoint + ".tmp";
  ModelDescription description;
  std::unique_ptr<checkpoint::TensorSource> source;
  session.agree([&] {
    if (fs::exists(target)) {
      throw UserError(cat(checkpoint, " exists already"), "name a folder that does not");
    }
    config::Model model{};
    model.model_name_or_path = hf_dir;
    description = read_model_description(model);
    source = open_model(*description.config, hf_dir);
  });
  session.agree([&] {
    if (session.rank() == 0 && target.has_parent_path())
      fs::create_directories(target.parent_path());
  });
  const auto lock = lock_for_all(session, checkpoint + kFileLock, checkpoint);
  session.agree([&] {
    if (session.rank() != 0) return;
    fs::remove_all(work);
    fs::create_directories(work);
  });
  std::string summary;
  session.agree([&] {
    checkpoint::CheckpointWriter writer(work, 0, session.rank(), session.world_size());
    Progress progress(checkpoint, session.rank() == 0);
    const auto show = [&](int64_t done, int64_t total) {
      progress.update(done, total);
      throw_if_stop_requested();
    };
    checkpoint::convert(*source, own_dtypes(*description.config, *source),
                        {session.rank(), session.world_size(), kChunkBytes, show},
                        [&](const parallel::Box& box, const at::Tensor& data) {
                          writer.write({{checkpoint::kWeightsGroup, box, data}});
                        });
    summary = writer.finish();
  });
  const auto summaries = session.all_gather_text(summary);
  session.agree([&] {
    if (session.rank() != 0) return;
    checkpoint::TrainingState state;
    state.model_config_json = description.text;
    state.world_size = session.world_size();
    state.layout = "from-hf";
    state.extra[kTokenizerDirField] = fs::absolute(hf_dir).string();
    state.extra[kDtypeField] = dtype_name(description.config->dtype());
    fs::rename(
        checkpoint::commit(work, 0, summaries, state, "# made by mconvert from-hf\n"),
        target);
    fs::remove_all(work);
    checkpoint::sync_parent(target);
  });
  log::info(cat(hf_dir, " -> ", checkpoint, ": ", source->tensors().size(),
                " tensors in ", clock.seconds(), " s"));
}

void verify(const std::string& checkpoint, const comm::Session& session) {
  session.agree([&] {
    const checkpoint::CheckpointReader reader(resolve_checkpoint(checkpoint));
    const auto faults = reader.verify(session.rank(), session.world_size());
    if (!faults.empty()) {
      throw UserError(join(faults, "\n"),
                      "restore the file from a copy, or use another "
                      "checkpoint");
    }
  });
  log::info(cat(checkpoint, ": every byte matches its checksum"));
}

std::string inspect(const std::string& folder) {
  if (checkpoint::holds_safetensors(folder)) return checkpoint::inspect(folder);
  return checkpoint::inspect(resolve_checkpoint(folder));
}

std::string diff(const std::string& a, const std::string& b,
                 const comm::Session& session) {
  std::string mine;
  session.agree([&] {
    const AnyWeights first(a), second(b);
    mine = checkpoint::rows_text(checkpoint::diff(first.tensors(), second.tensors(),
                                                  kChunkBytes, session.rank(),
                                                  session.world_size()));
  });
  return checkpoint::diff_table(checkpoint::rows_of_texts(session.all_gather_text(mine)));
}

}  // namespace mtrain::train
