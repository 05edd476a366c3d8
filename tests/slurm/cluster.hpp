// A Slurm of three nodes on this machine, and jobs on it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "run/tiny_run.hpp"

namespace mtrain::test {

/// Starts tests/slurm/cluster.sh and stops it at the end. One object at a time.
class Cluster {
 public:
  Cluster();
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  /// False where Slurm is not installed.
  bool available() const { return available_; }
  /// A power cut of a node, and its return.
  void lose(const std::string& node) const;
  void bring_back(const std::string& node) const;

 private:
  std::filesystem::path dir_;
  bool available_ = false;
};

/// Runs a command from the root of the repository; its output without the last line
/// break. Throws unless it ends with 0.
std::string shell(const std::string& command);

/// A job of slurm/qwen3_sft.sbatch on a deck of two ranks, slowed down to
/// `milliseconds` a step.
class Job {
 public:
  /// `options`: words for slurm/submit.sh before the script. `sbatch`: options for
  /// sbatch.
  Job(const TinyRun& run, const std::string& options, const Words& keys,
      const std::string& sbatch, int milliseconds);

  const std::string& id() const { return id_; }
  /// What the last start and those before it printed.
  std::string output() const;
  /// Steps in the log of the run in `folder`.
  void await_steps(const std::filesystem::path& folder, size_t steps) const;
  /// Waits for a state, as "COMPLETED"; throws with the output when it never comes.
  void await(const std::string& state) const;
  void await_output(const std::string& part) const;
  std::string state() const;
  /// From the next start on.
  void slow_down(int milliseconds) const;

 private:
  std::filesystem::path dir_;
  std::string id_;
};

}  // namespace mtrain::test
