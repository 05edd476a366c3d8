// Asks MPI and NCCL for their versions; the doctor prints them.
#include "mtrain/comm/libraries.hpp"

#include <mpi.h>

#include "mtrain/base/text.hpp"

#ifdef MTRAIN_CUDA
#include <nccl.h>
#endif

namespace mtrain::comm {

std::string mpi_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);
  // Open MPI tells more than its version behind the first comma.
  return split(split(text, ',').front(), '\n').front();
}

#ifdef MTRAIN_CUDA
std::string nccl_library() {
  int version = 0;
  ncclGetVersion(&version);
  return cat("NCCL ", version / 10000, ".", version / 100 % 100, ".", version % 100);
}
#else
std::string nccl_library() {
  return "";
}
#endif

}  // namespace mtrain::comm
