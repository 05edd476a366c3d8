// Reads config.json and weights, and writes the published form of config.json.
#include "model_files.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/base/json.hpp"
#include "mtrain/checkpoint/convert.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "mtrain/models/dialect.hpp"
#include "remedy.hpp"

namespace mtrain::train {
namespace {

using Json = OrderedJson;

constexpr size_t kShown = 8;

constexpr char kHead[] = "lm_head.weight", kTable[] = "model.embed_tokens.weight";

/// "FP8" or "quantized" where the tensor tells that the model's weights are; else empty.
std::string quantization_shown_by(const checkpoint::TensorInfo& tensor) {
  if (at::isFloat8Type(tensor.dtype)) return "FP8";
  const auto ends_with_any = [&](std::initializer_list<const char*> endings) {
    return std::ranges::any_of(
        endings, [&](const char* ending) { return tensor.name.ends_with(ending); });
  };
  if (ends_with_any({".weight_scale_inv", ".weight_scale", ".input_scale"})) return "FP8";
  const bool packed = ends_with_any({".qweight", ".qzeros", ".g_idx", ".weight_packed",
                                     ".weight.absmax", ".weight.quant_map", ".SCB"});
  return packed ? "quantized" : "";
}

void refuse_quantized(const checkpoint::TensorSource& source, const std::string& where) {
  for (const auto& tensor : source.tensors()) {
    const std::string kind = quantization_shown_by(tensor);
    if (kind.empty()) continue;
    throw UserError(cat(where, ": the weights are ", kind, " (", tensor.name,
                        "), which cannot be trained"),
                    "take the bf16 folder of the same model (the one without -FP8, -AWQ, "
                    "-GPTQ ... in "
                    "its name), or write its weights as bf16 first");
  }
}

bool equal_values(const checkpoint::TensorSource& source,
                  const checkpoint::TensorInfo& first,
                  const checkpoint::TensorInfo& second) {
  constexpr int64_t kElements = int64_t{4} << 20;  // compared at a time
  if (first.shape != second.shape) return false;
  return std::ranges::all_of(checkpoint::chunks_of(first, kElements),
                             [&](parallel::Box box) {
                               const at::Tensor values = source.read(box).to(at::kDouble);
                               box.tensor = second.name;
                               return at::equal(values, source.read(box).to(at::kDouble));
                             });
}

/// transformers 5 keeps a head that differs, version 4 drops it: no way to know which of
/// both models is meant.
void check_tied_head(const models::ModelConfig& config,
                     const checkpoint::TensorSource& source, const std::string& where) {
  const auto* head = source.find(kHead);
  const auto& tensors = config.tensors();
  const bool untied = std::ranges::any_of(
      tensors, [](const auto& tensor) { return tensor.name == kHead; });
  if (!head || untied || equal_values(source, *source.find(kTable), *head)) return;
  throw UserError(cat(where, ": ", kHead, " differs from ", kTable,
                      " though tie_word_embeddings = true"),
                  "write tie_word_embeddings = false into config.json to train the head "
                  "of the files, or remove it from them to train the tied one");
}

/// "a, b, c and 12 more"
std::string first_names(const std::vector<std::string>& names) {
  std::vector<std::string> shown(names.begin(),
                                 names.begin() + std::min(names.size(), kShown));
  const size_t rest = names.size() - shown.size();
  return join(shown, ", ") + (rest > 0 ? cat(" and ", rest, " more") : "");
}

}  // namespace

std::string dtype_name(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? "bfloat16" : dtype == at::kHalf ? "float16" : "float32";
}

std::vector<checkpoint::TensorInfo> tensor_plan(const models::ModelConfig& config,
                                                at::ScalarType dtype) {
  std::vector<checkpoint::TensorInfo> plan;
  for (const auto& tensor : config.tensors())
    plan.push_back({tensor.name, tensor.shape, dtype});
  return plan;
}

std::string read_text_file(const std::filesystem::path& path, const std::string& what) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    throw UserError(cat(what, ": no file ", path.string()), "check the path in the deck");
  }
  constexpr int64_t kLongest = 64 << 20;
  return read_text(File::open_input(path), kLongest);
}

std::filesystem::path tokenizer_dir(const config::Model& model) {
  if (!model.model_name_or_path.empty()) return model.model_name_or_path;
  return std::filesystem::path(model.model_config).parent_path();
}

ModelDescription read_model_description(const config::Model& model) {
  const bool published = !model.model_name_or_path.empty();
  const std::filesystem::path path =
      published ? std::filesystem::path(model.model_name_or_path) / "config.json"
                : std::filesystem::path(model.model_config);
  ModelDescription result{path.string(), "", "", nullptr};
  result.text = read_text_file(path, published ? "model_name_or_path" : "model_config");
  result.config = with_remedy("give the config.json that belongs to the model", [&] {
    return models::parse_model_config(result.text, result.path);
  });
  result.quantization = models::quantization_of(nlohmann::json::parse(result.text));
  return result;
}

std::vector<std::string> remarks_on(const ModelDescription& description,
                                    const std::string& dtype) {
  std::vector<std::string> remarks;
  if (!description.quantization.empty()) {
    remarks.push_back(
        cat(description.path, ": quantization_config (", description.quantization,
            ") is ignored and not exported: the weights are plain numbers"));
  }
  if (dtype == "auto" && description.config->dtype() == at::kHalf) {
    remarks.push_back(
        cat(description.path,
            " says float16, which would need loss scaling: the model is trained and "
            "exported in bfloat16 (dtype = float32 keeps every bit of its weights)"));
  }
  return remarks;
}

std::string published_config(const std::string& text, at::ScalarType dtype) {
  Json json = parse_ordered_json(text, "config.json", JsonDialect::kPython);
  models::to_published_dialect(json);
  json["torch_dtype"] = dtype_name(dtype);
  return json.dump(2) + "\n";
}

std::string generation_config(const std::string& config_text) {
  const Json config =
      parse_ordered_json(config_text, "config.json", JsonDialect::kPython);
  Json json = {{"_from_model_config", true}};
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (config.contains(key) && !config[key].is_null()) json[key] = config[key];
  }
  return json.dump(2) + "\n";
}

void check_tensors(const models::ModelConfig& config,
                   const checkpoint::TensorSource& source, const std::string& where) {
  std::vector<std::string> missing, foreign, misshapen, wanted;
  for (const auto& tensor : config.tensors()) {
    wanted.push_back(tensor.name);
    const auto* found = source.find(tensor.name);
    if (!found) {
      missing.push_back(tensor.name);
    } else if (found->shape != tensor.shape) {
      misshapen.push_back(cat(tensor.name, " [", join(found->shape, ", "),
                              "] instead of [", join(tensor.shape, ", "), "]"));
    }
  }
  std::sort(wanted.begin(), wanted.end());
  for (const auto& tensor : source.tensors()) {
    const bool known = std::binary_search(wanted.begin(), wanted.end(), tensor.name);
    // Some tied checkpoints carry the head as well: check_tied_head() looks at it.
    if (!known && tensor.name != kHead) foreign.push_back(tensor.name);
  }
  std::vector<std::string> faults;
  if (!missing.empty()) faults.push_back("missing: " + first_names(missing));
  if (!misshapen.empty()) faults.push_back("of another shape: " + first_names(misshapen));
  if (!foreign.empty())
    faults.push_back("not part of the model: " + first_names(foreign));
  if (faults.empty()) return;
  throw UserError(cat(where, ": tensors do not fit config.json; ", join(faults, "; ")),
                  "give weights and config.json of the same model");
}

std::unique_ptr<checkpoint::TensorSource> open_model(const models::ModelConfig& config,
                                                     const std::string& folder) {
  return with_remedy(kModelRemedy, [&] {
    auto source = checkpoint::open_safetensors(folder);
    refuse_quantized(*source, folder);
    check_tensors(config, *source, folder);
    check_tied_head(config, *source, folder);
    return source;
  });
}

void load_weights(parallel::ParamBuffer& buffer, const checkpoint::TensorSource& source) {
  for (const auto& p : buffer.params()) {
    const at::Tensor flat = p->weight.flatten();
    for (const auto& [begin, box] : p->spec.boxes) {
      flat.narrow(0, begin, box.size()).copy_(source.read(box).flatten());
    }
  }
}

}  // namespace mtrain::train
