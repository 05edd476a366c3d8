// Turns MPI return codes into errors that say what failed, where.
#pragma once

#include <mpi.h>

#include <string>

#include "mtrain/comm/communicator.hpp"

namespace mtrain::comm {

inline void check_mpi(int code, const std::string& operation) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw CommunicationError(
      cat("MPI ", operation, " failed: ", std::string(text, text + length)),
      "look at the other ranks' messages: one of them probably ended first");
}

}  // namespace mtrain::comm
