// Which options of a preparation go together, and what it must give.
#pragma once

#include "mtrain/data/prepare.hpp"

namespace mtrain::data {

/// UserError for combinations that the reference refuses too, and for values out of
/// range.
void check_options(const PrepareOptions& options);

/// UserError: `count` records are malformed, of which the first are shown.
[[noreturn]] void refuse_faults(int64_t count, const std::vector<std::string>& shown);

/// UserError when the store's records give no sample, or samples without a label.
void require_something_to_train(const PrepareOptions& options,
                                const PreparedStore& store);

}  // namespace mtrain::data
