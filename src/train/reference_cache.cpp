// Owns the cache of the reference's log-probabilities: mprep writes it, a trainer reads
// it. A safetensors file with one fp64 tensor a store, named by reference_key.
#include "reference_cache.hpp"

#include <ATen/ATen.h>

#include <filesystem>

#include "device.hpp"
#include "layout.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/base/timer.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "mtrain/config/parse.hpp"
#include "mtrain/data/content_hash.hpp"
#include "passes.hpp"
#include "preference.hpp"
#include "token_stores.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

constexpr char kRemedy[] = "run mprep with this deck to write it";

void add_bytes(data::ContentHash& hash, const void* bytes, size_t size) {
  hash.add({static_cast<const char*>(bytes), size});
}

std::string data_key(const data::TokenStoreReader& store) {
  data::ContentHash hash;
  hash.add(store.attributes().source_hash);
  hash.add(cat(store.num_samples(), " ", store.num_tokens()));
  for (int64_t i = 0; store.attributes().source_hash.empty() && i < store.num_samples();
       ++i) {
    const data::Sample sample = store.read(i);
    add_bytes(hash, sample.input_ids.data(), sample.input_ids.size() * sizeof(int32_t));
    add_bytes(hash, sample.labels.data(), sample.labels.size() * sizeof(int32_t));
  }
  return hash.hex();
}

/// The first and the last row of each tensor: training moves them all.
void add_rows(data::ContentHash& hash, const checkpoint::TensorSource& source) {
  for (const auto& info : source.tensors()) {
    for (const int64_t row : {int64_t{0}, info.shape[0] - 1}) {
      parallel::Box box{info.name, info.shape, parallel::Shape(info.shape.size(), 0),
                        info.shape};
      box.offset[0] = row;
      box.extent[0] = 1;
      const at::Tensor values = source.read(box);
      add_bytes(hash, values.const_data_ptr(), values.nbytes());
    }
  }
}

std::string model_folder(const config::Deck& deck) {
  return deck.dpo.ref_model.empty() ? deck.model.model_name_or_path : deck.dpo.ref_model;
}

std::string model_key(const config::Deck& deck, const ModelDescription& description) {
  data::ContentHash hash;
  hash.add(description.text);
  hash.add(dtype_name(weights_dtype(deck.model, *description.config)));
  const std::string folder = model_folder(deck);
  if (folder.empty())
    hash.add(cat("init_seed ", deck.model.init_seed));
  else
    add_rows(hash, *open_model(*description.config, folder));
  return hash.hex();
}

/// Puts the answers' log-probabilities of a step at their samples' places.
void collect(const models::Model& model, const StepBatch& batch, at::Tensor& of_samples) {
  for (size_t m = 0; m < batch.micro_batches.size(); ++m) {
    const auto& tokens = batch.micro_batches[m];
    if (pairs_of(tokens) == 0) continue;
    const at::Tensor values =
        answer_log_probs(tokens, model.token_loss(static_cast<int>(m)));
    of_samples.narrow(0, 2 * batch.first_rows[m], 2 * pairs_of(tokens))
        .copy_(values.flatten());
  }
}

/// The reference model on this rank.
struct Reference {
  Reference(const config::Deck& deck, const comm::Session& session)
      : deck(deck),
        device(open_device(deck.parallel, session)),
        grid(grid_sizes(deck.parallel, session.world_size())),
        groups(comm::make_groups(session, grid,
                                 choose_backend(deck.parallel.backend, device))),
        description(read_model_description(deck.model)) {
    check_layout(deck, *description.config, session.world_size());
    model = description.config->make(groups,
                                     model_options(deck, *description.config, device));
    load_reference(deck, description, model->buffer());
  }

  /// Of every sample of the store, on every rank: fp64 on the host.
  at::Tensor log_probs(data::TokenStoreReader& store) {
    const int dp_size = groups.data->size();
    BatchLoader loader(store, evaluation_options(deck, store, dp_size),
                       groups.data->rank());
    at::Tensor sums = at::zeros({store.num_samples()},
                                at::TensorOptions().dtype(at::kDouble).device(device));
    for (int64_t i = 0; i < loader.evaluation_steps(); ++i) {
      const StepBatch batch = loader.evaluation_step(i);
      run_forward(deck, groups, *model, batch, nullptr);
      if (model->has_loss() && groups.tensor->rank() == 0) collect(*model, batch, sums);
    }
    groups.world->all_reduce(sums, comm::Reduce::kSum);
    return sums.cpu();
  }

  const config::Deck& deck;
  at::Device device;
  comm::RankGrid grid;
  comm::ProcessGroups groups;
  ModelDescription description;
  std::unique_ptr<models::Model> model;
};

std::vector<std::string> stores_of(const config::Deck& deck) {
  std::vector<std::string> paths = {deck.data.tokenized_path};
  const std::string eval = eval_store_path(deck.data.tokenized_path);
  if (fs::exists(eval)) paths.push_back(eval);
  return paths;
}

bool up_to_date(const std::string& path, const std::vector<std::string>& keys) {
  if (!fs::exists(path)) return false;
  const auto source = checkpoint::open_safetensors(path);
  return std::ranges::all_of(
      keys, [&](const std::string& key) { return source->find(key) != nullptr; });
}

/// The writer makes a model's folder; the one file in it is what we want.
void write_file(const fs::path& path, const std::vector<std::string>& keys,
                const std::vector<at::Tensor>& values) {
  const fs::path folder = path.string() + ".parts";
  fs::create_directories(folder);
  std::vector<checkpoint::TensorInfo> planned;
  for (size_t i = 0; i < keys.size(); ++i)
    planned.push_back({keys[i], {values[i].numel()}, at::kDouble});
  auto writer = checkpoint::SafetensorsWriter::create(folder, planned, int64_t{1} << 60);
  for (size_t i = 0; i < keys.size(); ++i)
    writer.write({keys[i], planned[i].shape, {0}, planned[i].shape}, values[i]);
  writer.finish();
  fs::rename(folder / "model.safetensors", path);
  fs::remove_all(folder);
}

}  // namespace

std::string reference_key(const config::Deck& deck, const ModelDescription& description,
                          const data::TokenStoreReader& store) {
  return cat("log_probs.", data_key(store), ".", model_key(deck, description));
}

std::vector<double> read_reference(const config::Deck& deck,
                                   const ModelDescription& description,
                                   const data::TokenStoreReader& store) {
  const std::string& path = deck.dpo.ref_log_probs;
  if (!fs::exists(path)) throw UserError(cat("ref_log_probs: no file ", path), kRemedy);
  const auto source = checkpoint::open_safetensors(path);
  const std::string key = reference_key(deck, description, store);
  const auto* info = source->find(key);
  if (!info || info->shape != parallel::Shape{store.num_samples()} ||
      info->dtype != at::kDouble) {
    throw UserError(cat("ref_log_probs: ", path,
                        " was made for another model or other "
                        "data than ",
                        store.path()),
                    kRemedy);
  }
  const at::Tensor values = source->read({key, info->shape, {0}, info->shape});
  const auto* first = values.const_data_ptr<double>();
  return {first, first + values.numel()};
}

void write_reference(const config::Deck& deck, const comm::Session& session) {
  const Stopwatch clock;
  std::vector<std::string> keys;
  std::vector<data::TokenStoreReader> stores;
  bool there = false;
  session.agree([&] {
    config::validate_layout(deck, session.world_size());
    const auto description = read_model_description(deck.model);
    for (const auto& path : stores_of(deck)) {
      check_store(path, deck.train.stage, description.config->vocab_size());
      stores.emplace_back(path);
      stores.back().limit_ids(description.config->vocab_size());
      keys.push_back(reference_key(deck, description, stores.back()));
    }
    there = up_to_date(deck.dpo.ref_log_probs, keys);
  });
  if (there)
    return log::info(cat("reference: ", deck.dpo.ref_log_probs, " is up to date"));
  Reference reference(deck, session);
  std::vector<at::Tensor> values;
  for (auto& store : stores) values.push_back(reference.log_probs(store));
  session.agree([&] {
    if (session.rank() == 0) write_file(deck.dpo.ref_log_probs, keys, values);
  });
  log::info(cat("reference: log-probabilities of ", values[0].numel(), " answers in ",
                deck.dpo.ref_log_probs, ", ", human_duration(clock.seconds())));
}

void load_initial(const config::Model& model, const ModelDescription& description,
                  parallel::ParamBuffer& buffer) {
  if (model.model_name_or_path.empty()) {
    return models::initialise(buffer, static_cast<uint64_t>(model.init_seed),
                              description.config->initializer_range());
  }
  load_weights(buffer, *open_model(*description.config, model.model_name_or_path));
}

void load_reference(const config::Deck& deck, const ModelDescription& description,
                    parallel::ParamBuffer& buffer) {
  const std::string& folder = deck.dpo.ref_model;
  if (folder.empty()) return load_initial(deck.model, description, buffer);
  load_weights(buffer, *open_model(*description.config, folder));
}

}  // namespace mtrain::train
