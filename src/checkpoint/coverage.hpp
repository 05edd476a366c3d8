// Which part of a tensor a set of boxes leaves out.
#pragma once

#include <vector>

#include "mtrain/parallel/box.hpp"

namespace mtrain::checkpoint {

/// Disjoint boxes that make up `whole` less all of `boxes`; empty when nothing is
/// missing.
std::vector<parallel::Box> uncovered(const parallel::Box& whole,
                                     const std::vector<parallel::Box>& boxes);

/// The box of all elements of a tensor.
parallel::Box whole_box(const std::string& tensor, const parallel::Shape& shape);

}  // namespace mtrain::checkpoint
