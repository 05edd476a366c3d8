// Owns the opening of a preparation's datasets and the order of their records; called by
// the preparation and by the check before a run.
#include "dataset_rows.hpp"

namespace mtrain::data {

std::vector<Dataset> open_datasets(const PrepareOptions& options,
                                   const std::vector<std::string>& names) {
  std::vector<Dataset> datasets;
  for (auto& entry : read_dataset_info(options.dataset_dir, names, options.stage))
    datasets.emplace_back(std::move(entry));
  return datasets;
}

std::vector<RowRef> ordered_rows(const PrepareOptions& options,
                                 const std::vector<Dataset>& datasets,
                                 LegacyRandom& random) {
  std::vector<std::vector<uint32_t>> rows;
  for (const auto& dataset : datasets)
    rows.push_back(selected_rows(dataset.size(), dataset.entry().num_samples,
                                 options.max_samples, random));
  return mixed_rows(rows, options.mix_strategy, options.interleave_probs, options.seed);
}

}  // namespace mtrain::data
