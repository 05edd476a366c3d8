// Owns the rules over several keys of [data], with the model's; called by parse_deck.
#include <cmath>

#include "checker.hpp"

namespace mtrain::config {

namespace {

void check_model(Checker& checker) {
  const Model& model = checker.deck().model;
  if (model.model_name_or_path.empty() && model.model_config.empty()) {
    checker.fault({"model_name_or_path", "model_config"}, "no model is given",
                  "write model_name_or_path = FOLDER (or model_config = config.json to "
                  "start from random weights)");
  }
  const bool both = !model.model_name_or_path.empty() && !model.model_config.empty();
  if (both && checker.purpose() == Purpose::kTrain) {
    checker.fault({"model_name_or_path", "model_config"},
                  "model_name_or_path and model_config are both given, but weights are "
                  "either read or random",
                  "remove one of them");
  }
  if (model.model_config.empty()) {
    checker.no_effect("init_seed", "weights are read from model_name_or_path");
  }
}

void check_sources(Checker& checker) {
  const Data& data = checker.deck().data;
  const bool prepares = checker.purpose() == Purpose::kPrepare;
  // The reference's log-probabilities can be cached for a store that is there.
  const bool caches = !checker.deck().dpo.ref_log_probs.empty() &&
                      checker.deck().train.stage == Stage::kDpo;
  if (prepares && data.dataset.empty() && !caches) {
    checker.fault({"dataset"}, "there is nothing to prepare", "write dataset = NAME");
  }
  if (!prepares && data.dataset.empty() && data.tokenized_path.empty()) {
    checker.fault({"dataset", "tokenized_path"}, "no training data are given",
                  "write dataset = NAME, or tokenized_path = FILE written by mprep");
  }
}

void check_stage(Checker& checker) {
  const Deck& deck = checker.deck();
  const auto only_sft = [&](const std::string& key, bool value) {
    if (!value || deck.train.stage == Stage::kSft) return;
    checker.fault({key, "stage"},
                  cat(key, " = true is for stage = sft only, but stage = ",
                      to_string(deck.train.stage)),
                  cat("write ", key, " = false or stage = sft"));
  };
  if (deck.data.pt_packing == PtPacking::kDocuments && deck.train.stage != Stage::kPt) {
    checker.fault({"pt_packing", "stage"},
                  cat("pt_packing is for stage = pt only, but stage = ",
                      to_string(deck.train.stage)),
                  "remove it; samples of other stages never see each other");
  }
  if (deck.data.pt_packing == PtPacking::kDocuments && deck.data.packing == false) {
    checker.fault({"pt_packing", "packing"},
                  "pt_packing = documents fills rows, but packing = false",
                  "write packing = null or remove pt_packing");
  }
  only_sft("neat_packing", deck.data.neat_packing);
  only_sft("train_on_prompt", deck.data.train_on_prompt);
  only_sft("mask_history", deck.data.mask_history);
  if (deck.data.mask_history && deck.data.train_on_prompt) {
    checker.fault({"mask_history", "train_on_prompt"},
                  "mask_history and train_on_prompt are both true, but history is either "
                  "masked or trained on",
                  "set one of them to false");
  }
}

void check_mixing(Checker& checker) {
  const Data& data = checker.deck().data;
  if (data.interleave_probs.empty()) return;
  if (data.mix_strategy == MixStrategy::kConcat) {
    checker.fault(
        {"interleave_probs", "mix_strategy"},
        "interleave_probs is given, but mix_strategy = concat joins the datasets "
        "whole",
        "write mix_strategy = interleave_under or remove interleave_probs");
  }
  const auto check_count = [&](const std::string& key, size_t count) {
    if (count == 0 || count == data.interleave_probs.size()) return;
    checker.fault({"interleave_probs", key},
                  cat("interleave_probs has ", data.interleave_probs.size(),
                      " items, but ", key, " has ", count),
                  cat("give ", count, " probabilities"));
  };
  check_count("dataset", data.dataset.size());
  check_count("eval_dataset", data.eval_dataset.size());
  double sum = 0;
  for (const double probability : data.interleave_probs) sum += probability;
  constexpr double kTolerance = 1e-8;
  if (std::abs(sum - 1) > kTolerance) {
    checker.fault({"interleave_probs"}, cat("interleave_probs sum to ", sum, ", not 1"),
                  "divide each by their sum");
  }
}

void check_evaluation(Checker& checker) {
  const Deck& deck = checker.deck();
  const Data& data = deck.data;
  if (data.val_size > 0 && !data.eval_dataset.empty()) {
    checker.fault({"val_size", "eval_dataset"},
                  cat("val_size = ", data.val_size,
                      " takes samples from dataset, but eval_dataset is given too"),
                  "write val_size = 0 or remove eval_dataset");
  }
  if (data.val_size > 1 && data.val_size != std::floor(data.val_size)) {
    checker.fault({"val_size"},
                  cat("val_size = ", real_text(data.val_size),
                      " is neither a share below 1 nor a whole number of samples"),
                  cat("write ", std::round(data.val_size)));
  }
  if (checker.purpose() == Purpose::kPrepare) return;
  const bool has_data = data.val_size > 0 || !data.eval_dataset.empty();
  if (deck.train.do_eval && !has_data && data.tokenized_path.empty()) {
    checker.fault({"do_eval", "val_size", "eval_dataset"},
                  "do_eval = true, but there is nothing to evaluate on",
                  "write eval_dataset = NAME");
  }
  if (!deck.train.do_eval) {
    const std::string reason = "do_eval = false";
    checker.no_effect("eval_dataset", reason);
    checker.no_effect("eval_steps", reason);
  }
}

}  // namespace

void check_data(Checker& checker) {
  check_model(checker);
  check_sources(checker);
  check_stage(checker);
  check_mixing(checker);
  check_evaluation(checker);
  checker.no_effect("preprocessing_num_workers", "mprep splits its work over its ranks");
  if (!checker.deck().data.shuffle) {
    checker.no_effect("data_seed", "shuffle = false keeps the samples in order");
  }
  if (checker.purpose() == Purpose::kPrepare &&
      checker.deck().data.tokenized_path.empty()) {
    checker.fault({"tokenized_path"}, "there is no place for the token store",
                  "write tokenized_path = FILE");
  }
}

}  // namespace mtrain::config
