// Owns what LLaMA-Factory's Megatron path does otherwise and the deck alone cannot tell:
// the coefficient of the experts' balance and padding. Called by mtrain before a run, and
// when a trainer is built.
#include "compat.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "model_files.hpp"
#include "mtrain/base/text.hpp"
#include "mtrain/data/tokenizer.hpp"
#include "mtrain/train/run.hpp"

namespace mtrain::train {
namespace {

/// The padding token, or where there is none the one that ends a text.
int64_t padding_id(const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder / "tokenizer.json")) return 0;
  const auto tokenizer = data::Tokenizer::load(folder.string());
  const auto& name =
      tokenizer.pad_token() ? tokenizer.pad_token() : tokenizer.eos_token();
  return name ? tokenizer.token_id(*name).value_or(0) : 0;
}

}  // namespace

void take_from_model(config::ParsedDeck& parsed) {
  const std::string key = "moe_aux_loss_coeff";
  const bool given = parsed.origins.at(key).kind != config::Origin::Kind::kDefault;
  if (parsed.deck.train.compat != config::Compat::kMca || given) return;
  const ModelDescription description = read_model_description(parsed.deck.model);
  const double coefficient = description.config->balance_coefficient();
  if (coefficient == 0) return;
  config::set_value(parsed, key, nlohmann::json(coefficient).dump(),
                    {config::Origin::Kind::kModelConfig, description.path});
}

std::optional<Padding> compat_padding(const config::Deck& deck) {
  if (deck.train.compat != config::Compat::kMca) return {};
  const int64_t id = padding_id(tokenizer_dir(deck.model));
  if (deck.parallel.expert_model_parallel_size > 1)
    return Padding{deck.data.cutoff_len, 1, id};
  constexpr int64_t kPretraining = 8, kOther = 64;
  return Padding{0, deck.train.stage == config::Stage::kPt ? kPretraining : kOther, id};
}

std::string describe_compat(const config::Deck& deck,
                            const std::optional<Padding>& padding) {
  const bool by_token = deck.train.loss_average == config::LossAverage::kToken;
  const std::string loss = deck.train.stage == config::Stage::kDpo ? "mean over pairs"
                           : by_token ? "mean over all trained tokens"
                                      : "mean of the micro-batches' means";
  std::string pads = "no padding";
  if (padding && padding->least > 0) pads = cat("padding to ", padding->least);
  if (padding && padding->least == 0)
    pads = cat("padding to a multiple of ", padding->multiple);
  return cat("compat = ", config::to_string(deck.train.compat), ": ",
             deck.data.shuffle ? "shuffled" : "in order", "; loss: ", loss, "; ", pads);
}

}  // namespace mtrain::train
