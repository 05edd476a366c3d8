// Compares MPI's number of ranks with the launcher's; called by the programs before they
// write anything.
#include "launcher.hpp"

#include <cstdlib>
#include <optional>
#include <string>

#include "mtrain/base/error.hpp"

namespace mtrain::tools {
namespace {

/// The number in an environment variable, if there is one.
std::optional<long> count_in(const char* variable) {
  const char* text = std::getenv(variable);
  if (!text || !*text) return std::nullopt;
  char* end = nullptr;
  const long count = std::strtol(text, &end, 10);
  return *end == '\0' ? std::optional(count) : std::nullopt;
}

}  // namespace

void require_connected_ranks(const comm::Session& session) {
  if (session.world_size() > 1) return;
  // The innermost launcher knows best: an mpirun of one rank inside a larger step. Of a
  // batch script and of salloc's shell the step has one task, whatever the job has.
  constexpr const char* kLaunchers[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE",
                                        "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS"};
  for (const char* variable : kLaunchers) {
    const auto count = count_in(variable);
    if (!count) continue;
    if (*count <= 1) return;
    throw UserError(
        cat("the launcher started ", *count, " tasks (", variable, " = ", *count,
            "), but MPI has 1 rank: each of them would do the whole work"),
        cat("start it with srun --mpi=pmix (srun --mpi=list shows what there is) or with "
            "the mpirun of the MPI that this program was built with; for single runs "
            "side by side start each with env -u ",
            variable));
  }
}

}  // namespace mtrain::tools
