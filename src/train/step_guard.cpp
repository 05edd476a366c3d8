// Counts and names steps that are not finite; the trainer asks before it updates.
#include "step_guard.hpp"

#include <ATen/ATen.h>

#include <cmath>

#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"

namespace mtrain::train {

namespace {

constexpr size_t kPlacesShown = 8;

}  // namespace

bool StepGuard::accepts(int64_t step, double loss, double norm,
                        const std::string& where) {
  if (std::isfinite(loss) && std::isfinite(norm)) {
    ++updates_;
    in_a_row_ = 0;
    return true;
  }
  ++skipped_;
  ++in_a_row_;
  const std::string what = cat("step ", step, ": loss ", loss, ", gradient norm ", norm,
                               where.empty() ? "" : "; ", where);
  const char* remedy =
      "lower learning_rate, or look for bad samples; the last checkpoint is whole";
  if (on_nonfinite_ == config::NonFiniteStep::kStop) throw Error(what, remedy);
  if (in_a_row_ >= limit_)
    throw Error(cat(what, "; the ", in_a_row_, ". such step in a row"), remedy);
  log::warning(cat(what, "; not applied (", skipped_, " so far)"));
  return false;
}

std::string first_nonfinite_gradient(const parallel::ParamBuffer& buffer) {
  // The backward pass goes through the parameters from the last to the first.
  const auto& params = buffer.params();
  for (auto p = params.rbegin(); p != params.rend(); ++p)
    if (!at::isfinite((*p)->grad).all().item<bool>()) return (*p)->spec.name;
  return "";
}

std::string nonfinite_places(const std::vector<std::string>& per_rank) {
  std::vector<std::string> places;
  for (size_t rank = 0; rank < per_rank.size(); ++rank)
    if (!per_rank[rank].empty())
      places.push_back(cat("rank ", rank, ": ", per_rank[rank]));
  if (places.empty()) return "";
  const size_t more = places.size() - std::min(places.size(), kPlacesShown);
  places.resize(places.size() - more);
  return cat("gradients not finite from ", join(places, ", "),
             more > 0 ? cat(" and on ", more, " more ranks") : "", " on");
}

}  // namespace mtrain::train
