// Model files: the published form of config.json, and weights that do not belong to it.
#include "model_files.hpp"

#include <ATen/ATen.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "mtrain/base/error.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "mtrain/models/dialect.hpp"

using namespace mtrain;
using namespace mtrain::train;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const std::string kModels = MTRAIN_SOURCE_DIR "/tests/golden/data/models/";

std::string text_of(const std::string& file) {
  return read_text_file(kModels + file, "test");
}

/// The version of transformers and null token ids say nothing about the model.
json content(const std::string& text) {
  json config = json::parse(text);
  config.erase("transformers_version");
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (config.contains(key) && config[key].is_null()) config.erase(key);
  }
  return config;
}

template <class Function>
std::string refusal(const Function& function) {
  try {
    function();
  } catch (const UserError& error) {
    return error.what();
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A checkpoint that has names and shapes only.
class Listing : public checkpoint::TensorSource {
 public:
  explicit Listing(const models::ModelConfig& config)
      : tensors_(tensor_plan(config, at::kFloat)) {}

  const std::vector<checkpoint::TensorInfo>& tensors() const override { return tensors_; }
  const checkpoint::TensorInfo* find(const std::string& name) const override {
    for (const auto& tensor : tensors_) {
      if (tensor.name == name) return &tensor;
    }
    return nullptr;
  }
  at::Tensor read(const parallel::Box&) const override { throw Error("no data"); }

  std::vector<checkpoint::TensorInfo> tensors_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(model_files)

BOOST_AUTO_TEST_CASE(version_5_configs_are_published_in_the_published_dialect) {
  for (const char* model : {"tiny-qwen3", "tiny-qwen3-untied-bf16", "tiny-qwen3-moe"}) {
    const json published = content(text_of(cat(model, "/config.json")));
    const auto dtype =
        published["torch_dtype"] == "bfloat16" ? at::kBFloat16 : at::kFloat;
    const std::string made =
        published_config(text_of(cat(model, "/config.v5.json")), dtype);
    BOOST_TEST(content(made) == published);
    // Once published it stays as it is.
    BOOST_TEST(published_config(made, dtype) == made);
  }
}

BOOST_AUTO_TEST_CASE(the_published_dtype_is_that_of_the_weights) {
  const std::string text = text_of("tiny-qwen3/config.v5.json");
  BOOST_TEST(json::parse(published_config(text, at::kBFloat16))["torch_dtype"] ==
             "bfloat16");
  BOOST_TEST(json::parse(published_config(text, at::kHalf))["torch_dtype"] == "float16");
}

// Keys the program does not read belong to the user all the same.
BOOST_AUTO_TEST_CASE(unknown_keys_are_kept_in_their_order) {
  const std::string made = published_config(
      R"({"zebra": [1, 2], "apple": {"b": 1, "a": null}, "torch_dtype": "float32"})",
      at::kFloat);
  BOOST_TEST(made.find("zebra") < made.find("apple"));
  BOOST_TEST(made.find("\"b\"") < made.find("\"a\""));
}

// Such a config is read as if it had no rope_parameters, so it must be written, too.
BOOST_AUTO_TEST_CASE(null_rope_parameters) {
  json config = json::parse(text_of("tiny-qwen3/config.json"));
  config["rope_parameters"] = nullptr;
  models::parse_model_config(config.dump(), "config.json");
  const json made = json::parse(published_config(config.dump(), at::kFloat));
  BOOST_TEST(made["rope_theta"] == 1000000.0);
  BOOST_TEST(!made.contains("rope_parameters"));
}

// Whatever a config said twice or in several dialects, the export says once.
BOOST_AUTO_TEST_CASE(every_fact_is_published_under_one_name) {
  json config = json::parse(text_of("tiny-qwen3-moe/config.v5.json"));
  const json published =
      content(published_config(text_of("tiny-qwen3-moe/config.json"), at::kFloat));
  config["num_experts"] = config["num_local_experts"];
  config["torch_dtype"] = "float16";
  config["rope_theta"] = 5.0;
  config["rope_scaling"] = json::object();
  config["architectures"] = {"SomethingElse"};
  config["quantization_config"] = {{"quant_method", "fp8"}};
  config["layer_types"] = {"full_attention"};
  BOOST_TEST(content(published_config(config.dump(), at::kFloat)) == published);
}

BOOST_AUTO_TEST_CASE(what_is_done_otherwise_than_config_json_says_is_told) {
  config::Model model{};
  model.model_name_or_path = kModels + "tiny-qwen3";
  ModelDescription description = read_model_description(model);
  BOOST_TEST(remarks_on(description, "auto").empty());
  json config = json::parse(description.text);
  config["torch_dtype"] = "float16";
  description.config = models::parse_model_config(config.dump(), "config.json");
  description.quantization =
      models::quantization_of({{"quantization_config", {{"quant_method", "fp8"}}}});
  const auto remarks = remarks_on(description, "auto");
  BOOST_REQUIRE(remarks.size() == 2u);
  BOOST_TEST(contains(remarks[0], "quantization_config (fp8) is ignored"));
  BOOST_TEST(contains(remarks[1], "trained and exported in bfloat16"));
  BOOST_TEST(remarks_on(description, "float32").size() == 1u);
}

BOOST_AUTO_TEST_CASE(generation_config_has_the_token_ids) {
  const json made = json::parse(generation_config(
      R"({"bos_token_id": 3, "eos_token_id": [4, 5], "pad_token_id": null, "x": 1})"));
  BOOST_TEST(made == json::parse(
                         R"({"_from_model_config": true, "bos_token_id": 3,
                             "eos_token_id": [4, 5]})"));
}

BOOST_AUTO_TEST_CASE(files_that_cannot_be_read) {
  BOOST_TEST(contains(refusal([] { read_text_file("/no/such/file", "model_config"); }),
                      "model_config: no file /no/such/file"));
  // A folder is no file.
  BOOST_TEST(!refusal([] { read_text_file(kModels, "model_config"); }).empty());
  config::Model model{};
  model.model_name_or_path = kModels + "tiny-qwen4";
  BOOST_TEST(contains(refusal([&] { read_model_description(model); }),
                      "tiny-qwen4/config.json"));
}

BOOST_AUTO_TEST_CASE(the_deck_names_a_folder_or_a_config) {
  config::Model folder{}, file{};
  folder.model_name_or_path = kModels + "tiny-qwen3";
  file.model_config = kModels + "tiny-qwen3/config.v5.json";
  for (const config::Model& model : {folder, file}) {
    const ModelDescription description = read_model_description(model);
    BOOST_TEST(description.config->vocab_size() == 512);
    BOOST_TEST(!description.text.empty());
    BOOST_TEST(tokenizer_dir(model).filename() == "tiny-qwen3");
  }
}

BOOST_AUTO_TEST_CASE(tensors_that_fit) {
  const auto config =
      models::parse_model_config(text_of("tiny-qwen3/config.json"), "here");
  Listing listing(*config);
  BOOST_TEST(refusal([&] { check_tensors(*config, listing, "weights"); }).empty());
  // A tied model may come with its head.
  listing.tensors_.push_back({"lm_head.weight", {512, 64}, at::kFloat});
  BOOST_TEST(refusal([&] { check_tensors(*config, listing, "weights"); }).empty());
}

/// tiny-qwen3's weights in a folder, with one more tensor.
fs::path model_with(const std::string& name, const at::Tensor& values) {
  const fs::path folder = fs::temp_directory_path() / cat("mtrain-model-", ::getpid());
  fs::remove_all(folder);
  const auto source = checkpoint::open_safetensors(kModels + "tiny-qwen3");
  auto plan = source->tensors();
  plan.push_back({name, values.sizes().vec(), values.scalar_type()});
  auto writer = checkpoint::SafetensorsWriter::create(folder, plan, int64_t{1} << 40);
  for (const auto& tensor : plan) {
    const parallel::Box box{tensor.name, tensor.shape,
                            parallel::Shape(tensor.shape.size(), 0), tensor.shape};
    writer.write(box, tensor.name == name ? values : source->read(box));
  }
  writer.finish();
  return folder;
}

/// What opening such a model is refused with; empty where it is taken.
std::string refusal_of(const std::string& name, const at::Tensor& values) {
  const auto config = models::parse_model_config(text_of("tiny-qwen3/config.json"), "c");
  const fs::path folder = model_with(name, values);
  return refusal([&] { open_model(*config, folder.string()); });
}

BOOST_AUTO_TEST_CASE(a_tied_head_must_be_the_embedding) {
  const auto source = checkpoint::open_safetensors(kModels + "tiny-qwen3");
  const at::Tensor table =
      source->read({"model.embed_tokens.weight", {512, 64}, {0, 0}, {512, 64}});
  const std::string head = "lm_head.weight";
  BOOST_TEST(refusal_of(head, table) == "");
  at::Tensor other = table.clone();
  other[511][63] += 1e-3;
  for (const at::Tensor& values :
       {other, table * 2, table.narrow(0, 0, 500).contiguous()})
    BOOST_TEST(contains(refusal_of(head, values),
                        "lm_head.weight differs from model.embed_tokens.weight though "
                        "tie_word_embeddings = true"));
}

BOOST_AUTO_TEST_CASE(quantized_weights_are_refused_by_that_word) {
  const std::string layer = "model.layers.0.mlp.up_proj";
  const at::Tensor some = at::ones({2, 2});
  BOOST_TEST(contains(refusal_of(layer + ".weight_scale_inv", some), "are FP8"));
  BOOST_TEST(contains(refusal_of("x", some.to(at::kFloat8_e4m3fn)), "are FP8 (x)"));
  BOOST_TEST(
      contains(refusal_of(layer + ".qweight", some.to(at::kInt)), "are quantized"));
}

BOOST_AUTO_TEST_CASE(tensors_that_do_not_fit_are_listed) {
  const auto config =
      models::parse_model_config(text_of("tiny-qwen3/config.json"), "here");
  Listing listing(*config);
  listing.tensors_.erase(listing.tensors_.begin());
  listing.tensors_.back().shape = {65};
  listing.tensors_.push_back({"model.layers.0.self_attn.q_proj.bias", {128}, at::kFloat});
  const std::string message =
      refusal([&] { check_tensors(*config, listing, "some weights"); });
  for (const char* part :
       {"some weights", "missing: model.embed_tokens.weight",
        "model.norm.weight [65] instead of [64]",
        "not part of the model: model.layers.0.self_attn.q_proj.bias"}) {
    BOOST_TEST(contains(message, part), message);
  }
  listing.tensors_.clear();
  const std::string none = refusal([&] { check_tensors(*config, listing, "nothing"); });
  BOOST_TEST(contains(none, "and 38 more"), none);
}

BOOST_AUTO_TEST_SUITE_END()
