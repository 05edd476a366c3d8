// What the measured speeds of links say.
#pragma once

#include <string>
#include <vector>

#include "finding.hpp"

namespace mtrain::doctor {

struct Link {
  double speed;  ///< bytes a second
  size_t from, to;
  bool on_one_machine;
};

/// Links much slower than the middle one of their kind (of one machine, or between two).
std::vector<Link> slow_links(const std::vector<Link>& links);

/// The finding on links of ranks on `hosts`; `loads[rank]` says what keeps that rank's
/// machine busy, "" for nothing. A slow link of a busy machine is a doubt, not a fault.
Finding judge_links(std::vector<Link> links, const std::vector<std::string>& hosts,
                    const std::vector<std::string>& loads);

}  // namespace mtrain::doctor
