// Who stores what of the tensors that several ranks hold alike.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "mtrain/parallel/box.hpp"

namespace mtrain::checkpoint {

/// A rectangle inside one of a rank's boxes.
struct Part {
  size_t index;  ///< of the box among those the rank holds
  parallel::Box box;

  bool operator==(const Part&) const = default;
};

/// For each rank the parts it stores of the boxes it holds, such that every element that
/// some rank holds is stored once and all ranks store about the same number of elements.
/// Boxes of two ranks may overlap in any way (those of one rank do not): where they are
/// not equal, they are cut along each other's edges first. A pure function of its
/// argument, so that each rank may compute it alone.
std::vector<std::vector<Part>> share_out(
    const std::vector<std::vector<parallel::Box>>& held);

/// The elements of `part` as a view of `data`, which holds the elements of `box`.
at::Tensor view_of(const parallel::Box& part, const parallel::Box& box,
                   const at::Tensor& data);

/// A rank's boxes as the text ranks exchange, and back.
std::string boxes_text(const std::vector<parallel::Box>& boxes);
std::vector<parallel::Box> boxes_of_text(const std::string& text);

}  // namespace mtrain::checkpoint
