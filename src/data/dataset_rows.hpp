// The datasets that options name, and their records in the order of training.
#pragma once

#include <string>
#include <vector>

#include "dataset.hpp"
#include "record_order.hpp"

namespace mtrain::data {

/// Opens the entries of `names`. UserError names what is wrong with one of them.
std::vector<Dataset> open_datasets(const PrepareOptions& options,
                                   const std::vector<std::string>& names);

/// Their records: sampled, cut to max_samples, mixed. `random` is that of the options'
/// seed, and goes on from the datasets opened before.
std::vector<RowRef> ordered_rows(const PrepareOptions& options,
                                 const std::vector<Dataset>& datasets,
                                 LegacyRandom& random);

}  // namespace mtrain::data
