// What GPUs can do: the rates that the plan estimates with.
#pragma once

#include <string>
#include <vector>

namespace mtrain::train {

struct GpuRates {
  std::string name;
  double memory;        ///< bytes
  double matmul;        ///< flops a second, bf16, sustained over a step
  double grouped;       ///< the same of products of experts
  double attention[2];  ///< forward, backward
  double copy;          ///< bytes a second, read and written counted once each
  double link;          ///< bytes a second to and from GPUs of the same machine
  double network;       ///< of other machines
  int per_machine;
};

/// The rates of the GPU that `given` describes: NAME, or NAME:key=value,... with other
/// values than the table's. NAME is one of the rows of `table_file` (a row a line; "" for
/// none) or of the program's own table, whatever its case, or what nvidia-smi calls it;
/// with memory and tflops given it may be any other. Throws UserError that says what is
/// wrong and which names are known. The form of a row: docs/plan.md.
GpuRates gpu_rates(const std::string& given, const std::string& table_file);

/// A device on which nothing but flops takes time: for the shares of a step on a CPU,
/// whose speed is not known.
GpuRates flops_alone();

}  // namespace mtrain::train
