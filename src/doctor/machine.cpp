// Looks at this process's machine: libraries, processor, memory, GPUs, files.
#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Version.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "finding.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/checkpoint/inspect.hpp"
#include "mtrain/comm/libraries.hpp"

namespace mtrain::doctor {
namespace {

namespace fs = std::filesystem;

/// Bytes that /proc/meminfo names.
double memory(const std::string& name) {
  std::ifstream in("/proc/meminfo");
  for (std::string text; std::getline(in, text);) {
    if (!text.starts_with(name + ":")) continue;
    return std::strtod(text.c_str() + name.size() + 1, nullptr) * 1024;
  }
  return 0;
}

Finding examine_memory(const comm::Session& session) {
  const double free = memory("MemAvailable"), each = free / session.local_size();
  const std::string text =
      cat(human_bytes(free), " free of ", human_bytes(memory("MemTotal")), ", shared by ",
          session.local_size(), " ranks of this machine");
  constexpr double kLeast = 1e9;
  if (free == 0) return {"memory", "unknown: there is no /proc here"};
  return {"memory", text, each < kLeast ? "start fewer ranks on this machine" : ""};
}

Finding examine_processor() {
  const std::string best = at::get_cpu_capability();
  const unsigned cores = std::thread::hardware_concurrency();
  return {"processor", cat(cores, " cores, ", best),
          best == "DEFAULT" ? "LibTorch found no vector instructions: mount /proc" : ""};
}

std::string driver() {
  std::ifstream in("/proc/driver/nvidia/version");
  std::string text;
  std::getline(in, text);
  return text.empty() ? "no driver" : text;
}

Finding examine_gpus(const comm::Session& session) {
#ifdef MTRAIN_CUDA
  const int gpus = at::hasCUDA() ? at::accelerator::deviceCount() : 0;
  const std::string text =
      cat(gpus, " visible for ", session.local_size(), " ranks of this machine; ",
          comm::nccl_library(), "; ", driver());
  if (gpus == 0)
    return {"GPU", text,
            "look at nvidia-smi and CUDA_VISIBLE_DEVICES, or use device = cpu"};
  if (gpus < session.local_size())
    return {"GPU", text,
            "start one rank for each GPU (docs/dev/gpu.md says how to share)"};
  return {"GPU", text};
#else
  static_cast<void>(session);
  const bool there = fs::exists("/dev/nvidia0");
  return {"GPU", cat("this program computes on CPUs; ", driver()),
          there ? "build it with make BUILD=cuda to use the GPUs of this machine" : ""};
#endif
}

Finding examine_space() {
  std::error_code failed;
  const auto space = fs::space(".", failed);
  const std::string text = failed ? failed.message()
                                  : cat(human_bytes(static_cast<double>(space.available)),
                                        " free in ", fs::current_path().string());
  constexpr double kLeast = 1e9;
  const bool full = failed || static_cast<double>(space.available) < kLeast;
  return {"disk", text, full ? "make room, or run in another folder" : ""};
}

}  // namespace

std::vector<Finding> examine_machine(const comm::Session& session) {
  return {{"libraries", cat(checkpoint::hdf5_library(), "; ", at::get_mkl_version())},
          examine_processor(),
          examine_memory(session),
          examine_gpus(session),
          examine_space()};
}

Finding examine_shared_files(const comm::Session& session) {
  const fs::path file = session.broadcast_text(
      (fs::current_path() / cat(".mtrain-doctor-", getpid())).string());
  if (session.rank() == 0) File::create(file).write_at(0, "seen", 4);
  session.barrier();
  std::string text;
  if (has_entry(file)) text = read_text(File::open_to_read(file), 4);
  const auto seen = session.all_gather_text(text);
  std::error_code ignored;
  if (session.rank() == 0) fs::remove(file, ignored);
  std::vector<size_t> blind;
  for (size_t rank = 0; rank < seen.size(); ++rank)
    if (seen[rank] != "seen") blind.push_back(rank);
  const std::string folder = file.parent_path().string();
  if (blind.empty()) return {"shared files", cat("all ranks see ", folder)};
  if (blind.size() == seen.size())
    return {"shared files", cat("cannot write in ", folder),
            "start in a folder you may write to"};
  return {"shared files", cat("ranks ", join(blind, ", "), " do not see ", folder),
          "put model, data and output_dir on a file system that all machines mount"};
}

}  // namespace mtrain::doctor
