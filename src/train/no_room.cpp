// Puts table and advice of the plan into the error of a run that found no room.
#include "no_room.hpp"

#include "model_files.hpp"
#include "plan_parts.hpp"

namespace mtrain::train {

Error no_room(const config::Deck& deck, int world_size, const std::string& reason,
              const std::string& holders) {
  const ModelDescription description = read_model_description(deck.model);
  GpuRates rates = gpu_rates("h200", "");
  rates.memory = 0;  // nothing is said to fit where not even this did
  return Error(cat("out of memory: ", reason, "\n", holders),
               "what would save most:\n" +
                   advice(deck, PlannedModel(*description.config), world_size, rates));
}

std::string planned_holders(const config::Deck& deck, int world_size) {
  const ModelDescription description = read_model_description(deck.model);
  const PlannedModel model(*description.config);
  return "planned, by pipeline stage\n" +
         stage_table(deck, stage_memory(deck, model, world_size));
}

}  // namespace mtrain::train
