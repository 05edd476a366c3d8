// config.json: both dialects give the same model, sizes follow from it, and whatever is
// damaged is a UserError that says what and where.
#define BOOST_TEST_MODULE models
#include "qwen3/config.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "mtrain/base/error.hpp"

using namespace mtrain;
using namespace mtrain::models;
using nlohmann::json;

namespace {

/// As published on the Hub.
const char* const kPublished = R"({
  "architectures": ["Qwen3ForCausalLM"],
  "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 7, "eos_token_id": null,
  "head_dim": 24, "hidden_act": "silu", "hidden_size": 64, "initializer_range": 0.03,
  "intermediate_size": 160, "max_position_embeddings": 4096, "max_window_layers": 28,
  "model_type": "qwen3", "num_attention_heads": 4, "num_hidden_layers": 3,
  "num_key_value_heads": 2, "rms_norm_eps": 1e-05, "rope_scaling": null,
  "rope_theta": 500000.0, "sliding_window": null, "tie_word_embeddings": true,
  "torch_dtype": "bfloat16", "use_cache": true, "use_sliding_window": false,
  "vocab_size": 771
})";

/// The same, as transformers 5 writes it.
const char* const kVersion5 = R"({
  "architectures": ["Qwen3ForCausalLM"],
  "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 7,
  "dtype": "bfloat16", "eos_token_id": null, "head_dim": 24, "hidden_act": "silu",
  "hidden_size": 64, "initializer_range": 0.03, "intermediate_size": 160,
  "layer_types": ["full_attention", "full_attention", "full_attention"],
  "max_position_embeddings": 4096, "max_window_layers": 28, "model_type": "qwen3",
  "num_attention_heads": 4, "num_hidden_layers": 3, "num_key_value_heads": 2,
  "pad_token_id": null, "rms_norm_eps": 1e-05,
  "rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"},
  "sliding_window": null, "tie_word_embeddings": true, "use_cache": true,
  "use_sliding_window": false, "vocab_size": 771
})";

std::unique_ptr<ModelConfig> parse(const std::string& text) {
  return parse_model_config(text, "there/config.json");
}

/// All sizes, to compare at once.
json sizes(const std::string& text) {
  const auto config = parse(text);
  const auto& s = dynamic_cast<const qwen3::Config&>(*config).sizes();
  return {s.vocab,
          s.hidden,
          s.ffn,
          s.layers,
          s.heads,
          s.kv_heads,
          s.head_dim,
          s.max_positions,
          s.rms_norm_eps,
          s.rope_theta,
          s.initializer_range,
          s.tied,
          static_cast<int>(s.dtype)};
}

/// The published text with one key changed; `value` as JSON.
std::string with(const std::string& key, const std::string& value) {
  json config = json::parse(kPublished);
  config[key] = json::parse(value);
  return config.dump();
}

std::string without(const std::string& key) {
  json config = json::parse(kPublished);
  config.erase(key);
  return config.dump();
}

/// Message of the UserError; "accepted" when there is none. Any other exception escapes.
std::string refusal(const std::string& text) {
  try {
    parse(text);
  } catch (const UserError& error) {
    return error.what();
  }
  return "accepted";
}

void check_refused(const std::string& text, const std::string& part) {
  const std::string message = refusal(text);
  BOOST_CHECK_MESSAGE(message.find(part) != std::string::npos,
                      "\"" << message << "\" does not name \"" << part << "\"");
  BOOST_CHECK_MESSAGE(message.starts_with("there/config.json"), message);
}

std::string file_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_size_is_read) {
  const json expected = {771,
                         64,
                         160,
                         3,
                         4,
                         2,
                         24,
                         4096,
                         1e-5,
                         500000.0,
                         0.03,
                         true,
                         static_cast<int>(at::kBFloat16)};
  BOOST_TEST(sizes(kPublished) == expected);
  const auto config = parse(kPublished);
  BOOST_TEST(config->family() == "qwen3");
  BOOST_TEST(config->layers() == 3);
  BOOST_TEST(config->vocab_size() == 771);
  BOOST_TEST(config->initializer_range() == 0.03);
  BOOST_TEST((config->dtype() == at::kBFloat16));
}

BOOST_AUTO_TEST_CASE(both_dialects_are_the_same_model) {
  BOOST_TEST(sizes(kVersion5) == sizes(kPublished));
  const std::string models = MTRAIN_SOURCE_DIR "/tests/golden/data/models/";
  for (const char* name : {"tiny-qwen3", "tiny-qwen3-policy", "tiny-qwen3-untied-bf16"}) {
    const std::string published = file_text(models + name + "/config.json");
    BOOST_REQUIRE(!published.empty());
    BOOST_TEST(sizes(file_text(models + name + "/config.v5.json")) == sizes(published));
  }
}

BOOST_AUTO_TEST_CASE(dtypes) {
  const auto dtype = [](const std::string& text) { return parse(text)->dtype(); };
  BOOST_TEST((dtype(with("torch_dtype", R"("float32")")) == at::kFloat));
  BOOST_TEST((dtype(with("torch_dtype", R"("float16")")) == at::kHalf));
  BOOST_TEST((dtype(without("torch_dtype")) == at::kFloat));
  check_refused(with("torch_dtype", R"("int8")"), "torch_dtype");
  check_refused(with("torch_dtype", "16"), "torch_dtype");
}

BOOST_AUTO_TEST_CASE(what_may_be_left_out_has_the_reference_value) {
  const auto value = [](const std::string& text, size_t index) {
    return sizes(text)[index];
  };
  BOOST_TEST(value(without("num_key_value_heads"), 5) == 4);
  BOOST_TEST(value(with("num_key_value_heads", "null"), 5) == 4);
  // Qwen3Config of transformers: 128, whatever hidden_size / num_attention_heads is.
  BOOST_TEST(value(without("head_dim"), 6) == 128);
  BOOST_TEST(value(without("max_position_embeddings"), 7) == 32768);
  BOOST_TEST(value(without("rms_norm_eps"), 8) == 1e-6);
  BOOST_TEST(value(without("rope_theta"), 9) == 10000.0);
  BOOST_TEST(value(without("initializer_range"), 10) == 0.02);
  BOOST_TEST(value(without("tie_word_embeddings"), 11) == false);
}

// Counted by hand: table, per layer q, k, v, o, head norms, gate, up, down, norms; final
// norm.
BOOST_AUTO_TEST_CASE(parameters_are_counted_once) {
  const int64_t table = 771 * 64;
  const int64_t layer = 96 * 64 + 2 * 48 * 64 + 64 * 96 + 2 * 24 + 3 * 160 * 64 + 2 * 64;
  BOOST_TEST(parse(kPublished)->parameters() == table + 3 * layer + 64);
  BOOST_TEST(parse(with("tie_word_embeddings", "false"))->parameters() ==
             2 * table + 3 * layer + 64);
}

BOOST_AUTO_TEST_CASE(tensors_have_published_names_and_shapes) {
  const auto tied = parse(kPublished)->tensors();
  BOOST_TEST(tied.size() == 2u + 3 * 11);
  BOOST_TEST(tied.front().name == "model.embed_tokens.weight");
  BOOST_TEST(tied.back().name == "model.norm.weight");
  const auto find = [](const std::vector<LogicalTensor>& list, const std::string& name) {
    for (const auto& tensor : list) {
      if (tensor.name == name) return tensor.shape;
    }
    return parallel::Shape{};
  };
  const std::string layer = "model.layers.2.";
  BOOST_TEST((find(tied, layer + "self_attn.q_proj.weight") == parallel::Shape{96, 64}));
  BOOST_TEST((find(tied, layer + "self_attn.v_proj.weight") == parallel::Shape{48, 64}));
  BOOST_TEST((find(tied, layer + "self_attn.o_proj.weight") == parallel::Shape{64, 96}));
  BOOST_TEST((find(tied, layer + "self_attn.k_norm.weight") == parallel::Shape{24}));
  BOOST_TEST((find(tied, layer + "mlp.down_proj.weight") == parallel::Shape{64, 160}));
  const auto untied = parse(with("tie_word_embeddings", "false"))->tensors();
  BOOST_TEST(untied.back().name == "lm_head.weight");
  BOOST_TEST((untied.back().shape == parallel::Shape{771, 64}));
}

// 6 flops per weight that multiplies a token; attention 12 * layers * heads * head_dim *
// length, halved for causality.
BOOST_AUTO_TEST_CASE(flops) {
  const auto tied = parse(kPublished),
             untied = parse(with("tie_word_embeddings", "false"));
  const double weights = static_cast<double>(tied->parameters());
  BOOST_TEST(tied->flops_per_token(100) == 6 * weights + 6.0 * 3 * 96 * 100);
  // The input table of an untied model is only read from.
  BOOST_TEST(untied->flops_per_token(100) == tied->flops_per_token(100));
}

BOOST_AUTO_TEST_CASE(layouts_that_do_not_divide_are_named) {
  const auto config = parse(kPublished);
  const auto faults = [&](int tensor) {
    return config->layout_faults({tensor, tensor, 1, 1, 1, 1});
  };
  BOOST_TEST(faults(1).empty());
  BOOST_TEST(faults(2).empty());
  // Two neighbours hold each key/value head.
  BOOST_TEST(faults(4).empty());
  BOOST_REQUIRE(faults(3).size() == 3u);
  BOOST_TEST(faults(3)[0] ==
             "tensor_model_parallel_size = 3 does not divide num_attention_heads = 4");
  BOOST_TEST(faults(3)[2] ==
             "tensor_model_parallel_size = 3 does not divide intermediate_size = 160");
}

BOOST_AUTO_TEST_CASE(truncated_anywhere) {
  const std::string text = kPublished;
  for (size_t length = 0; length < text.size(); ++length) {
    check_refused(text.substr(0, length), "not valid JSON");
  }
}

BOOST_AUTO_TEST_CASE(not_a_config) {
  check_refused("", "not valid JSON");
  check_refused("null", "object");
  check_refused("[1, 2]", "object");
  check_refused("\"qwen3\"", "object");
  check_refused("{}", "model_type");
  check_refused(std::string(kPublished) + "}", "not valid JSON");
  check_refused("{\"model_type\": \"\xff\"}", "not valid JSON");
}

BOOST_AUTO_TEST_CASE(nested_too_deep) {
  for (const int depth : {66, 1000, 1000000}) {
    const auto size = static_cast<size_t>(depth);
    check_refused(std::string(size, '['), "deeper");
    std::string objects;
    for (int i = 0; i < depth && i < 5000; ++i) objects += "{\"a\":";
    check_refused(objects, "deeper");
  }
}

// As Python reads it: the last value of a key counts, and numbers need not be finite.
BOOST_AUTO_TEST_CASE(json_of_python) {
  const auto ending = [](const std::string& more) {
    std::string text = kPublished;
    return text.replace(text.rfind('}'), 1, ", " + more + "}");
  };
  check_refused(ending(R"("vocab_size": -3)"), "vocab_size must be a positive integer");
  for (const char* number : {"1e999", "NaN", "Infinity"})
    check_refused(ending(cat(R"("rms_norm_eps": )", number)),
                  "rms_norm_eps must be a positive number");
  BOOST_TEST(refusal(ending(R"("other": NaN, "text": "\ud800", "other": -Infinity)")) ==
             "accepted");
  // Many keys take no more than their share of time.
  std::string many = "{\"k0\": 0";
  for (int i = 1; i < 100000; ++i) many += cat(", \"k", i, "\": 0");
  check_refused(many + ", \"k5\": 1}", "model_type");
}

BOOST_AUTO_TEST_CASE(model_types) {
  check_refused(with("model_type", R"("llama")"), "\"llama\"");
  check_refused(with("model_type", R"("qwen3_vl")"), "not built yet");
  check_refused(with("model_type", "5"), "model_type 5");
  check_refused(with("model_type", "null"), "model_type null");
}

BOOST_AUTO_TEST_CASE(what_the_model_cannot_do_is_refused) {
  check_refused(with("hidden_act", R"("gelu")"), "hidden_act");
  check_refused(with("attention_bias", "true"), "attention_bias");
  check_refused(with("use_sliding_window", "true"), "use_sliding_window");
  check_refused(with("attention_dropout", "0.1"), "attention_dropout");
  check_refused(with("rope_scaling", R"({"rope_type": "yarn", "factor": 4.0})"),
                "rope_scaling");
  check_refused(with("rope_parameters", R"({"rope_type": "yarn", "rope_theta": 1e6})"),
                "rope_type");
  check_refused(with("rope_scaling", R"({"type": "linear", "factor": 2.0})"), "linear");
  check_refused(with("rope_parameters", "[]"), "rope_parameters");
  check_refused(with("num_key_value_heads", "3"), "num_key_value_heads = 3");
  check_refused(with("head_dim", "25"), "head_dim = 25");
}

BOOST_AUTO_TEST_CASE(all_faults_are_told_at_once) {
  const std::string message =
      refusal(R"({"model_type": "qwen3", "hidden_size": -64, "hidden_act": "relu"})");
  for (const char* part : {"hidden_size", "-64", "hidden_act", "vocab_size", "missing",
                           "num_hidden_layers"}) {
    BOOST_TEST(message.find(part) != std::string::npos, message);
  }
}

BOOST_AUTO_TEST_CASE(experts_of_both_dialects) {
  json published = json::parse(kPublished);
  published.update({{"model_type", "qwen3_moe"},
                    {"num_experts", 8},
                    {"num_experts_per_tok", 2},
                    {"moe_intermediate_size", 48},
                    {"norm_topk_prob", true},
                    {"decoder_sparse_step", 2},
                    {"mlp_only_layers", {1}},
                    {"num_hidden_layers", 4}});
  json other = published;
  other.erase("num_experts");
  other["num_local_experts"] = 8;
  for (const json& config : {published, other}) {
    const auto model = parse(config.dump());
    const auto& s = dynamic_cast<const qwen3::Config&>(*model).sizes();
    BOOST_TEST(model->family() == "qwen3_moe");
    BOOST_TEST(s.experts.count == 8);
    BOOST_TEST(!s.has_experts(1));
    BOOST_TEST(s.has_experts(3));
    BOOST_TEST(s.layers_with_experts() == 1);
    BOOST_TEST(model->layout_faults({8, 2, 1, 4, 1, 1}).empty());
    BOOST_TEST(model->layout_faults({8, 2, 1, 4, 2, 1}).empty());
    BOOST_TEST(model->layout_faults({8, 4, 1, 1, 2, 1}).size() == 1u);
    BOOST_TEST(model->layout_faults({3, 1, 1, 3, 1, 1}).size() == 1u);
  }
  other["num_experts"] = 8;
  BOOST_TEST(parse(other.dump())->experts() == 8);
  other["num_experts"] = 4;
  check_refused(other.dump(), "different numbers");
  const auto broken = [&](const char* key, const json& value) {
    json config = published;
    config[key] = value;
    return config.dump();
  };
  const auto coefficient = [&](const json& value) {
    return parse(broken("router_aux_loss_coef", value))->balance_coefficient();
  };
  BOOST_TEST(coefficient(0.01) == 0.01);
  BOOST_TEST(coefficient(0) == 0.0);
  BOOST_TEST(coefficient(nullptr) == 0.001);
  BOOST_TEST(parse(kPublished)->balance_coefficient() == 0.0);
  check_refused(broken("router_aux_loss_coef", -1), "router_aux_loss_coef");
  check_refused(broken("num_experts_per_tok", 9), "num_experts_per_tok = 9");
  check_refused(broken("mlp_only_layers", "1"), "mlp_only_layers");
  check_refused(broken("mlp_only_layers", {-1}), "mlp_only_layers");
  check_refused(broken("num_experts", 20000), "num_experts = 20000");
  check_refused(broken("moe_intermediate_size", nullptr), "moe_intermediate_size");
  BOOST_TEST(parse(kPublished)->layout_faults({2, 1, 1, 2, 1, 1}).size() == 1u);
}

// Whatever stands at whatever key: a UserError that names the key, or a model whose every
// size can be computed.
BOOST_AUTO_TEST_CASE(any_value_at_any_key) {
  const auto config = json::parse(kPublished);
  for (const auto& [key, original] : config.items()) {
    for (const char* value : {"null", "true", "-1", "0", "-64", "1.5", "1e30", "3",
                              "1048576", "1099511627775", "9223372036854775807",
                              "18446744073709551615", "-9223372036854775808", "\"\"",
                              "\"64\"", "[]", "[64]", "{}", "{\"rope_theta\": -1}"}) {
      const std::string text = with(key, value);
      const std::string message = refusal(text);
      if (message != "accepted") {
        BOOST_CHECK_MESSAGE(message.find(key) != std::string::npos ||
                                message.find("parameters") != std::string::npos ||
                                message.find("rope_theta") != std::string::npos,
                            key << " = " << value << ": " << message);
        continue;
      }
      const auto model = parse(text);
      BOOST_CHECK_MESSAGE(model->parameters() > 0 && model->layers() > 0,
                          key << " = " << value);
      BOOST_TEST(std::isfinite(model->flops_per_token(4096)));
    }
  }
}

BOOST_AUTO_TEST_CASE(sizes_no_model_has_are_refused) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size",
                          "num_hidden_layers", "num_attention_heads", "head_dim"}) {
    for (const char* value : {"-1", "0", "1099511627775", "9223372036854775807"}) {
      check_refused(with(key, value), cat("there/config.json"));
    }
  }
}
