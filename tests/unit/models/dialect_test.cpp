// The dialects of config.json: whatever one says, the published one says too.
#include "mtrain/models/dialect.hpp"

#include <boost/test/unit_test.hpp>

using namespace mtrain::models;
using nlohmann::json;

namespace {

json published(json config) {
  to_published_dialect(config);
  return config;
}

const json kPlain = {{"rope_type", "default"}};
const json kInner = {{"rope_type", "default"}, {"rope_theta", 7.0}};

}  // namespace

BOOST_AUTO_TEST_SUITE(dialect)

// As transformers 5 reads them: the theta inside before the one beside, rope_scaling
// before rope_parameters.
BOOST_AUTO_TEST_CASE(rotary_base) {
  const auto theta = [](const json& changes) {
    json config = {{"rope_theta", 5.0}};
    config.update(changes);
    const json made = published(config);
    BOOST_TEST(!made.contains("rope_parameters"));
    BOOST_TEST(made.at("rope_scaling").is_null());
    return made.value("rope_theta", json());
  };
  BOOST_TEST(theta({{"rope_parameters", kPlain}}) == 5.0);
  BOOST_TEST(theta({{"rope_scaling", kPlain}}) == 5.0);
  BOOST_TEST(theta({{"rope_scaling", {{"type", "default"}}}}) == 5.0);
  BOOST_TEST(theta({{"rope_scaling", json::object()}}) == 5.0);
  BOOST_TEST(theta({{"rope_scaling", nullptr}, {"rope_parameters", nullptr}}) == 5.0);
  BOOST_TEST(theta({{"rope_scaling", kInner}, {"rope_theta", nullptr}}) == 7.0);
  BOOST_TEST(theta({{"rope_parameters", {{"rope_theta", 7.0}}}}) == 7.0);
  BOOST_TEST(theta({{"rope_parameters", kInner}}) == 7.0);
  BOOST_TEST(theta({{"rope_scaling", kPlain}, {"rope_parameters", kInner}}) == 5.0);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_said_stays) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    for (const json& value : {json{{"rope_type", "yarn"}}, json{{"type", "linear"}},
                              json(3), json::array(), json("default")}) {
      const json config = {{key, value}, {"rope_theta", 5.0}};
      BOOST_TEST(published(config) == config);
    }
  }
  const json two = {{"num_experts", 4}, {"num_local_experts", 8}};
  BOOST_TEST(published(two).at("num_local_experts") == 8);
}

BOOST_AUTO_TEST_CASE(each_fact_has_one_name) {
  const json made = published({{"num_local_experts", 8},
                               {"dtype", "float32"},
                               {"torch_dtype", "bfloat16"},
                               {"layer_types", {"full_attention"}},
                               {"quantization_config", {{"quant_method", "fp8"}}},
                               {"model_type", "qwen3_moe"},
                               {"architectures", {"Other"}},
                               {"mine", 1}});
  const json expected = {{"num_experts", 8},
                         {"torch_dtype", "float32"},
                         {"rope_scaling", nullptr},
                         {"model_type", "qwen3_moe"},
                         {"architectures", json::array({"Qwen3MoeForCausalLM"})},
                         {"mine", 1}};
  BOOST_TEST(made == expected);
  BOOST_TEST(published(made) == made);
}

BOOST_AUTO_TEST_CASE(quantization) {
  BOOST_TEST(quantization_of({{"quantization_config", nullptr}}) == "");
  BOOST_TEST(quantization_of({{"quantization_config", {{"bits", 4}}}}) == "unknown");
  BOOST_TEST(quantization_of({{"quantization_config", {{"quant_method", "fp8"}}}}) ==
             "fp8");
}

BOOST_AUTO_TEST_SUITE_END()
