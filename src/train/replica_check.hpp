// Finds a rank whose copy of weights has diverged from the others'.
#pragma once

#include <string>
#include <vector>

#include "mtrain/comm/session.hpp"
#include "mtrain/parallel/param_buffer.hpp"

namespace mtrain::train {

/// A checksum of each box of weights this rank holds, as the text ranks exchange. Boxes,
/// not parameters: so it finds copies of data, tensor and embedding replicas alike.
std::string weight_checksums(const parallel::ParamBuffer& buffer);

/// One line for each rank whose copy of some tensor differs from that of most ranks that
/// hold the same box: "rank 3: model.norm.weight[0:64] ...". Empty when all agree.
std::vector<std::string> diverged(const std::vector<std::string>& checksums_of_ranks);

/// Throws Error on all ranks when a copy has diverged. Collective; weights are complete.
void check_replicas(const parallel::ParamBuffer& buffer, int64_t step,
                    const comm::Session& session);

}  // namespace mtrain::train
