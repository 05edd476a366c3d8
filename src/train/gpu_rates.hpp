// What GPUs can do: the rates that the plan estimates with.
#pragma once

#include <string>

namespace mtrain::train {

struct GpuRates {
  const char* name;
  double memory;        ///< bytes
  double matmul;        ///< flops a second, bf16, sustained over a step
  double grouped;       ///< the same of products of experts
  double attention[2];  ///< forward, backward
  double copy;          ///< bytes a second, read and written counted once each
  double link;          ///< bytes a second to and from GPUs of the same machine
  double network;       ///< of other machines
  int per_machine;
};

/// By name, whatever its case. Throws UserError that lists the known ones.
const GpuRates& gpu_rates(const std::string& name);

/// A device on which nothing but flops takes time: for the shares of a step on a CPU,
/// whose speed is not known.
GpuRates flops_alone();

}  // namespace mtrain::train
