// The files of a model on disk: config.json, weights, tokenizer.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "mtrain/checkpoint/tensor_source.hpp"
#include "mtrain/config/deck.hpp"
#include "mtrain/models/model.hpp"

namespace mtrain::train {

/// The bytes of a small text file; UserError naming path and reason otherwise.
std::string read_text_file(const std::filesystem::path& path, const std::string& what);

/// Text and parsed form of the config.json the deck names (of model_name_or_path, or
/// model_config itself).
struct ModelDescription {
  std::string path;
  std::string text;
  std::string quantization;  ///< what config.json calls the weights; empty for nothing
  std::unique_ptr<models::ModelConfig> config;
};
/// Where the tokenizer files are: beside the config.json.
std::filesystem::path tokenizer_dir(const config::Model& model);
ModelDescription read_model_description(const config::Model& model);
/// What a run of `dtype` (the deck's key) does otherwise than config.json says, a line
/// each.
std::vector<std::string> remarks_on(const ModelDescription& description,
                                    const std::string& dtype);

/// config.json as published on the Hub (rope_theta, torch_dtype ...), for weights of
/// `dtype`; everything else as in `text`.
std::string published_config(const std::string& text, at::ScalarType dtype);
/// generation_config.json made from the token ids in config.json.
std::string generation_config(const std::string& config_text);

/// "float32", "bfloat16", "float16".
std::string dtype_name(at::ScalarType dtype);

/// The model's tensors in Hugging Face order, as they are to be written.
std::vector<checkpoint::TensorInfo> tensor_plan(const models::ModelConfig& config,
                                                at::ScalarType dtype);

/// Throws UserError that lists tensors the model needs and `source` lacks, those it has
/// and the model does not know, and those of another shape.
void check_tensors(const models::ModelConfig& config,
                   const checkpoint::TensorSource& source, const std::string& where);

/// Opens the safetensors of a Hugging Face folder and checks them as check_tensors does.
/// Throws UserError for quantized weights, and where a tied model comes with a head of
/// its own that is not its embedding.
std::unique_ptr<checkpoint::TensorSource> open_model(const models::ModelConfig& config,
                                                     const std::string& folder);

/// Fills the weights of this rank: reads the boxes it owns and nothing else.
void load_weights(parallel::ParamBuffer& buffer, const checkpoint::TensorSource& source);

}  // namespace mtrain::train
