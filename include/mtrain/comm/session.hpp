// The MPI session of the process: start, end, and the few things all ranks exchange on
// the host.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mtrain/base/activity.hpp"
#include "mtrain/comm/communicator.hpp"
#include "mtrain/comm/rank_grid.hpp"

namespace mtrain::comm {

/// Owns MPI_Init and MPI_Finalize; made once, by main.
class Session {
 public:
  Session(int* argc, char*** argv);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  int rank() const { return rank_; }
  int world_size() const { return world_size_; }
  /// Ranks on this machine, this one included: how many share its cores and devices.
  int local_size() const { return local_size_; }
  /// Which of them this is.
  int local_rank() const { return local_rank_; }

  /// What this rank does. Meetings and the operations of all groups are noted there.
  Activity& activity() const { return *activity_; }

  /// Before the first use of a GPU, where stages are going to receive early: kernels are
  /// loaded at the start. Loaded at its first use, one may wait for all that runs on the
  /// device, and so for a receive whose sender waits for the result of that kernel.
  void prepare_for_pipeline() const;

  void barrier() const;
  /// Every rank's text, in rank order, on every rank.
  std::vector<std::string> all_gather_text(const std::string& text) const;

  /// Rank 0's text on every rank.
  std::string broadcast_text(const std::string& text) const;

  /// Runs `local` (which must not communicate) and agrees on the outcome: when it throws
  /// on any rank, the error of the lowest such rank is thrown on all of them, naming that
  /// rank.
  void agree(const std::function<void()>& local) const;

  /// A communicator over `ranks` (this one included, the same list on each of them), in
  /// that order. Collective over the whole world: every rank calls it, with its own
  /// group. With kNccl it is connected and has completed an operation on return; the
  /// current CUDA device is the one it uses.
  std::unique_ptr<Communicator> make_group(const std::string& name,
                                           const std::vector<int>& ranks,
                                           Backend backend) const;
  /// One that can also send and receive CUDA tensors over NCCL, on `channels` (ranks of
  /// the group; the same list on all of them).
  std::unique_ptr<Communicator> make_group(const std::string& name,
                                           const std::vector<int>& ranks, Backend backend,
                                           const std::vector<Channel>& channels) const;

  /// Ends every rank at once with `code`; for failures the other ranks cannot know of.
  [[noreturn]] void abort(int code) const;

 private:
  int rank_ = 0;
  int world_size_ = 1;
  int local_size_ = 1;
  int local_rank_ = 0;
  std::unique_ptr<Activity> activity_ = std::make_unique<Activity>();
  int meetings_ = 0;  ///< lane of what the ranks exchange here
};

/// One communicator per axis of the grid this program uses.
struct ProcessGroups {
  Activity* activity = nullptr;  ///< of the session
  std::unique_ptr<Communicator> world;
  std::unique_ptr<Communicator> tensor;
  std::unique_ptr<Communicator> data;  ///< data x context
  std::unique_ptr<Communicator> pipeline;
  std::unique_ptr<Communicator>
      embedding;                         ///< of the first and last stage; alone elsewhere
  std::unique_ptr<Communicator> expert;  ///< between them all experts of a layer
  std::unique_ptr<Communicator> expert_tensor;  ///< each a part of the same experts
  std::unique_ptr<Communicator> expert_data;    ///< the same experts
};

/// What a pipeline sends: tag 0 (activations) from each stage to the next, tag 1
/// (gradients) to the one before. The last stage's next is the first, for schedules that
/// pass through the stages more than once.
std::vector<Channel> pipeline_channels(int stages);

/// Makes all groups, eagerly and in the same order on all ranks. Collective over the
/// world.
ProcessGroups make_groups(const Session& session, const RankGrid& grid, Backend backend);

}  // namespace mtrain::comm
