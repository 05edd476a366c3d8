// Which options of a preparation go together.
#pragma once

#include "mtrain/data/prepare.hpp"

namespace mtrain::data {

/// UserError for combinations that the reference refuses too, and for values out of
/// range.
void check_options(const PrepareOptions& options);

}  // namespace mtrain::data
