// Who stores what of the tensors that several ranks hold alike.
#pragma once

#include <string>
#include <vector>

#include "mtrain/parallel/box.hpp"

namespace mtrain::checkpoint {

/// A part of one of a rank's boxes: `count` slices from `first` along dim `dim`, which is
/// contiguous in the box.
struct Part {
  size_t index;  ///< of the box among those the rank holds
  int64_t dim, first, count;

  bool operator==(const Part&) const = default;
};

/// For each rank the parts it stores of the boxes it holds, such that every distinct box
/// is stored once and all ranks store about the same number of elements. Boxes of two
/// ranks are equal or apart. A pure function of its argument, so that each rank may
/// compute it alone.
std::vector<std::vector<Part>> share_out(
    const std::vector<std::vector<parallel::Box>>& held);

/// The box of a part of `box`.
parallel::Box box_of(const Part& part, const parallel::Box& box);

/// A rank's boxes as the text ranks exchange, and back.
std::string boxes_text(const std::vector<parallel::Box>& boxes);
std::vector<parallel::Box> boxes_of_text(const std::string& text);

}  // namespace mtrain::checkpoint
