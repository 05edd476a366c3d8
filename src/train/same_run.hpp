// What makes two decks those of one run.
#pragma once

#include "mtrain/config/deck.hpp"

namespace mtrain::train {

/// Whether both decks train the same model on the same data in the same stage: then one
/// goes on with the checkpoints of the other. Layout, ranks, length, rates and all that
/// is only told, saved or measured may differ. Where one cannot tell (a path that moved,
/// data by name here and as a token store there) it is the same run: its checkpoints
/// stay.
bool same_run(const config::Deck& a, const config::Deck& b);

/// Whether both name the same place, relative paths from here.
bool same_path(const std::string& a, const std::string& b);

}  // namespace mtrain::train
