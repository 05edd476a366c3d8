// Owns the rules over deck and model that only warn; called by a check and before a run.
#include "model_rules.hpp"

#include "mtrain/config/no_effect.hpp"

namespace mtrain::train {

std::vector<std::string> keys_without_effect(const config::ParsedDeck& parsed,
                                             const models::ModelConfig& config) {
  config::ParsedDeck noted = parsed;
  noted.warnings.clear();
  if (config.experts() == 0) {
    for (const char* key : {"moe_aux_loss_coeff", "moe_z_loss_coeff", "moe_router_dtype",
                            "moe_token_dispatcher_type", "moe_expert_capacity_factor"})
      config::warn_no_effect(noted, key, "the model has no experts");
  }
  return noted.warnings;
}

}  // namespace mtrain::train
