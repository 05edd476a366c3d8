// Versions of the communication libraries, for people.
#pragma once

#include <string>

namespace mtrain::comm {

/// "Open MPI v4.1.4".
std::string mpi_library();
/// "NCCL 2.27.7"; empty in a program built without it.
std::string nccl_library();

}  // namespace mtrain::comm
