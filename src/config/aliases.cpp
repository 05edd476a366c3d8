// Owns the translation of other programs' names into keys; called by parse_deck.
#include "aliases.hpp"

#include <nlohmann/json.hpp>
#include <set>

#include "key_table.hpp"

namespace mtrain::config {

namespace {

using Keys = std::vector<std::pair<std::string, std::string>>;

Translation to_keys(Keys keys) {
  return {std::move(keys), {}, {}};
}
Translation to_fault(std::string rule, std::string suggestion) {
  return {{}, Fault{std::move(rule), std::move(suggestion)}, {}};
}
Translation to_warning(std::string text) {
  return {{}, {}, std::move(text)};
}

/// An alias of the same type: the text goes to the key as it is.
Alias renamed(const std::string& name, const std::string& key) {
  return {name, cat("means ", key), [key](const RawValue& raw, double) {
            return to_keys({{key, raw.text}});
          }};
}

/// A boolean alias: one translation for true, one for false.
Alias switched(const std::string& name, const std::string& meaning, Translation if_true,
               Translation if_false) {
  return {name, meaning, [if_true, if_false](const RawValue& raw, double) {
            bool value = false;
            if (auto fault = parse_bool(raw.text, value))
              return Translation{{}, fault, {}};
            return value ? if_true : if_false;
          }};
}

/// min_lr as a share of the learning rate.
Translation rate_to_min_lr(const std::string& text, double learning_rate) {
  double rate = 0;
  if (auto fault = parse_real(text, between(0, 1), rate)) return {{}, fault, {}};
  return to_keys({{"min_lr", real_text(rate * learning_rate)}});
}

/// max_time from whole minutes.
Translation translate_minutes(const std::string& text) {
  constexpr int64_t kMostMinutes = 1 << 20;
  int64_t minutes = 0;
  if (auto fault = parse_integer(text, at_least(1), 0, kMostMinutes, minutes))
    return {{}, fault, {}};
  return to_keys({{"max_time", duration_text({60 * minutes})}});
}

/// One item of lr_scheduler_kwargs.
Translation translate_kwarg(const std::string& name, const std::string& text,
                            double learning_rate) {
  if (name == "min_lr") return to_keys({{"min_lr", text}});
  if (name == "min_lr_rate" || name == "min_lr_ratio") {
    return rate_to_min_lr(text, learning_rate);
  }
  if (name == "num_decay_steps") return to_keys({{"lr_wsd_decay_iters", text}});
  if (name == "decay_type") return to_keys({{"lr_wsd_decay_style", text}});
  return to_fault(cat("has ", shown(name), ", which is not supported"),
                  "known are min_lr, min_lr_rate, min_lr_ratio, num_decay_steps and "
                  "decay_type");
}

Translation translate_kwargs(const RawValue& raw, double learning_rate) {
  const auto json = nlohmann::json::parse(raw.text, nullptr, false);
  if (!json.is_object()) {
    return to_fault("is not a JSON object", R"(write for instance {"min_lr": 1e-6})");
  }
  Translation all;
  for (const auto& [name, value] : json.items()) {
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    Translation one = translate_kwarg(name, text, learning_rate);
    if (one.fault) return one;
    all.keys.insert(all.keys.end(), one.keys.begin(), one.keys.end());
  }
  return all;
}

/// What is computed again in the backward pass, where the deck does not say it otherwise.
std::vector<Alias> recompute_aliases() {
  const std::string kept =
      " leaves recompute_granularity as it is: nothing is computed again unless it says "
      "so";
  Alias on = switched("gradient_checkpointing",
                      "true means recompute_granularity = full, false nothing; "
                      "recompute_granularity wins",
                      to_keys({{"recompute_granularity", "full"}}),
                      to_warning("gradient_checkpointing = false" + kept));
  Alias off = switched("disable_gradient_checkpointing",
                       "true means recompute_granularity = none, false nothing; "
                       "recompute_granularity wins",
                       to_keys({{"recompute_granularity", "none"}}),
                       to_warning("disable_gradient_checkpointing = false" + kept));
  on.yields = off.yields = true;
  return {on, off};
}

std::vector<Alias> schedule_aliases() {
  return {
      {"lr_scheduler_kwargs",
       "min_lr, min_lr_rate or min_lr_ratio means min_lr; num_decay_steps means "
       "lr_wsd_decay_iters; decay_type means lr_wsd_decay_style",
       translate_kwargs},
      {"min_lr_rate", "min_lr as a share of learning_rate",
       [](const RawValue& raw, double rate) { return rate_to_min_lr(raw.text, rate); }},
      {"optimizer", "adam means optim = adamw",
       [](const RawValue& raw, double) {
         return raw.text == "adam" ? to_keys({{"optim", "adamw"}})
                                   : to_fault("only adam is supported", "write adam");
       }},
  };
}

std::vector<Alias> make_aliases() {
  std::vector<Alias> all = {
      switched("bf16", "true means dtype = bfloat16", to_keys({{"dtype", "bfloat16"}}),
               to_warning("bf16 = false leaves dtype as it is (auto: what config.json "
                          "says); write dtype = float32 to train in fp32")),
      {"exit_duration_in_mins", "max_time, in minutes",
       [](const RawValue& raw, double) { return translate_minutes(raw.text); }},
      renamed("micro_batch_size", "per_device_train_batch_size"),
      switched("calculate_per_token_loss",
               "true means loss_average = token, false means sample_mean",
               to_keys({{"loss_average", "token"}}),
               to_keys({{"loss_average", "sample_mean"}})),
      switched("disable_shuffling", "true means shuffle = false",
               to_keys({{"shuffle", "false"}}), to_keys({{"shuffle", "true"}})),
      renamed("full_determinism", "deterministic"),
      renamed("evaluation_strategy", "eval_strategy"),
  };
  for (Alias& alias : schedule_aliases()) all.push_back(std::move(alias));
  for (Alias& alias : recompute_aliases()) all.push_back(std::move(alias));
  return all;
}

const Alias* find_alias(const std::string& name) {
  for (const Alias& alias : all_aliases()) {
    if (alias.name == name) return &alias;
  }
  return nullptr;
}

/// The reference's spelling of a real key's value, translated in place.
void translate_value(Entry& entry) {
  const std::string& text = entry.value.text;
  if (entry.name == "optim" &&
      (text == "adamw_torch" || text == "adamw_torch_fused" || text == "adamw_hf")) {
    entry.value.text = "adamw";
  }
  const bool strategy = entry.name == "save_strategy" || entry.name == "eval_strategy";
  if (strategy && (text == "false" || text == "False")) entry.value.text = "no";
  double share = 0;
  const bool below_one = !parse_real(text, from_below(0, 1), share) && share > 0;
  if (entry.name == "warmup_steps" && below_one) entry.name = "warmup_ratio";
}

/// learning_rate as the last entry that sets it, or its default.
double learning_rate_of(const std::vector<Entry>& entries) {
  double rate = default_deck().optimizer.learning_rate;
  for (const Entry& entry : entries) {
    if (entry.name == "learning_rate") parse_real(entry.value.text, at_least(0), rate);
  }
  return rate;
}

}  // namespace

const std::vector<Alias>& all_aliases() {
  static const std::vector<Alias> aliases = make_aliases();
  return aliases;
}

std::vector<Entry> expand_aliases(std::vector<Entry> entries, Faults& faults,
                                  std::vector<std::string>& warnings) {
  const double learning_rate = learning_rate_of(entries);
  std::set<std::string> given;
  for (const Entry& entry : entries) given.insert(entry.name);
  std::vector<Entry> out;
  for (Entry& entry : entries) {
    const Alias* alias = find_alias(entry.name);
    if (alias == nullptr) {
      translate_value(entry);
      out.push_back(std::move(entry));
      continue;
    }
    if (entry.value.null) continue;
    Translation translation = alias->translate(entry.value, learning_rate);
    const std::string place = entry.origin.place;
    if (translation.fault) {
      faults.add(
          place,
          cat(entry.name, " = ", shown(entry.value.text), " ", translation.fault->rule),
          translation.fault->suggestion);
    }
    if (!translation.warning.empty()) {
      warnings.push_back(cat(place, ": ", translation.warning));
    }
    for (auto& [name, text] : translation.keys) {
      if (alias->yields && given.contains(name)) {
        warnings.push_back(cat(place, ": ", entry.name, " = ", shown(entry.value.text),
                               " has no effect: ", name, " is given, and wins"));
        continue;
      }
      Entry real{"", name, {}, entry.origin};
      real.value.text = text;
      out.push_back(std::move(real));
    }
  }
  return out;
}

}  // namespace mtrain::config
