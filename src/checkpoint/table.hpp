// Aligned columns of text.
#pragma once

#include <string>
#include <vector>

namespace mtrain::checkpoint {

/// One line per row, columns padded to their widest cell and two spaces apart.
std::string aligned(const std::vector<std::vector<std::string>>& rows);

}  // namespace mtrain::checkpoint
